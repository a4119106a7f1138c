"""Rows that were computed from pictures, kept on disk by the pictures' pixels."""

import hashlib
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from alljax.storage import progress_bar
from alljax.storage.atomic import delete, delete_abandoned, write_whole
from alljax.storage.locks import locked

FILE = 'features.npz'
PARTS = 'features-part-{}.npz'  # what was computed since, and is put into FILE at the end
SAVE_SECONDS = 20.0  # of work, at most, are lost when a process is killed, and those of one chunk

log = logging.getLogger(__name__)

Known = dict[str, Float[np.ndarray, ' ...']]  # hash of a picture's pixels → its row


def by_picture(
    folder: Path,
    images: UInt8[np.ndarray, 'cells height width 3'],
    compute: Callable[[Int[np.ndarray, ' missing']], Float[np.ndarray, 'missing ...']],
    chunk: int = 64,
) -> Float[np.ndarray, 'cells ...']:
    """A row for each picture, from the `folder` where it has them, else by `compute` of their places and kept there.

    `compute` is asked for `chunk` rows at a time, which are saved on the way, so that a run that is killed keeps them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    with locked(folder / '.lock'):  # another run that wants the same waits for it, instead of computing it too
        delete_abandoned(folder)
        known = _read_all(folder)
        missing = {name: place for place, name in enumerate(names) if name not in known}
        if missing:
            known |= _computed(folder, missing, compute, chunk)
            _write(folder / FILE, known)
        for part in _parts(folder):
            delete(part)
    return np.stack([known[name] for name in names])


def _computed(
    folder: Path,
    missing: Mapping[str, int],
    compute: Callable[[Int[np.ndarray, ' missing']], Float[np.ndarray, 'missing ...']],
    chunk: int,
) -> Known:
    """The missing rows, shown as they come on a terminal."""
    found: Known = {}
    unsaved: Known = {}
    names, saved = [*missing], time.monotonic()
    log.info('computing the features of %d images, which are kept in %s', len(names), folder)
    with progress_bar.shown('features', len(names), ' images') as bar:
        for start in range(0, len(names), chunk):
            some = names[start : start + chunk]
            unsaved |= dict(zip(some, compute(np.array([missing[name] for name in some])), strict=True))
            bar.update(len(some))
            if time.monotonic() - saved >= SAVE_SECONDS and start + chunk < len(names):
                _write(folder / PARTS.format(len(_parts(folder))), unsaved)
                found, unsaved, saved = found | unsaved, {}, time.monotonic()
    return found | unsaved


def _parts(folder: Path) -> list[Path]:
    return sorted(folder.glob(PARTS.format('*')))


def _read_all(folder: Path) -> Known:
    """All that is known; a file that is damaged is deleted, saying so, and computed again."""
    known: Known = {}
    for path in (folder / FILE, *_parts(folder)):
        try:
            known |= _read(path)
        except Exception as error:  # a damaged archive may break any line of NumPy and of what it calls
            log.warning('%s: cannot be read (%s); it is part of the cache, and computed again', path, error)
            delete(path)
    return known if len({row.shape for row in known.values()}) < 2 else {}


def _read(path: Path) -> Known:
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as file:
        pictures, features = file['pictures'].tolist(), file['features']
        if features.dtype.kind != 'f' or not np.isfinite(features).all():
            raise ValueError('its rows are no finite numbers')
        return dict(zip(pictures, features, strict=True))


def _write(path: Path, known: Known) -> None:
    pictures, features = np.array([*known]), np.stack([*known.values()])
    write_whole(path, lambda file: np.savez(file, pictures=pictures, features=features))
