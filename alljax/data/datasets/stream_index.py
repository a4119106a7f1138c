"""The facts about streamed cells besides their pixels, kept in the cache: the place, size and digest of each."""

import hashlib
import logging
import zipfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Int64, UInt8

from alljax.storage import cache
from alljax.storage.atomic import delete, write_whole

log = logging.getLogger(__name__)

VERSION = 1  # raise it when the same files would give other pictures
LIBRARIES = ('numpy', 'pillow', 'scikit-image', 'scipy')  # by which pictures are resized and filtered


class StreamIndex(NamedTuple):
    """The cells of ArrayRecord files in the order of their names."""

    places: Int64[np.ndarray, ' cells']  # of their records
    sizes: Int32[np.ndarray, 'cells 2']  # width and height in the file
    digests: UInt8[np.ndarray, 'cells 32']  # SHA-256 of the pixels in the form that is asked for
    fingerprint: str  # of the set


def place(entry: Path, *about: object) -> Path:
    """The file of an index: by the entry of the cache that the cells are in, and all `about` their form."""
    facts = repr((VERSION, [version(name) for name in LIBRARIES], str(entry), *about))
    return cache.folder('streams') / f'{hashlib.sha256(facts.encode()).hexdigest()[:32]}.npz'


def read(path: Path, files: Sequence[Path], cells: int) -> StreamIndex | None:
    """The index of files that have not changed since; None if there is none, and, saying so, for a damaged one."""
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = StreamIndex(arrays['places'], arrays['sizes'], arrays['digests'], str(arrays['fingerprint']))
            state = arrays['state'].tolist()
        if not (found.places.shape == (cells,) and found.sizes.shape == (cells, 2) and len(found.digests) == cells):
            raise ValueError('it is of other cells')
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        log.warning('%s: cannot be read (%s); it is part of the cache, and made again', path, error)
        delete(path)
        return None
    return found if state == _state(files) else None


def write(path: Path, files: Sequence[Path], known: StreamIndex) -> None:
    """Keeps the index of files as they are now."""
    write_whole(path, lambda file: np.savez(file, state=np.array(_state(files)), **known._asdict()))


def _state(files: Sequence[Path]) -> list[list[str]]:
    return [[path.name, str(path.stat().st_size), str(path.stat().st_mtime_ns)] for path in files]
