"""Runs that train the head only: what the frozen layers say of a picture is computed once and kept on disk."""

import fcntl
import hashlib
import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32, UInt8

from alljax.models import Model, Variables
from alljax.models.trees import flatten
from alljax.training import infer

log = logging.getLogger(__name__)
FILE = 'features.npz'


def features(
    body: Model,
    variables: Variables,
    about: Mapping[str, Any],
    images: UInt8[np.ndarray, 'cells height width 3'],
    batch_size: int,
    folder: Path,
) -> Float32[np.ndarray, 'cells ...']:
    """The features of each picture, from the `folder` where it has them, else computed and added to it.

    They are kept by the network and its options (`about`), its variables, the form of its input, and each picture's
    pixels: runs that share these share the features, whatever their splits.
    """
    folder = folder / key(body, variables, about)
    folder.mkdir(parents=True, exist_ok=True)
    names = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    with _alone(folder):  # another run that wants the same waits for it, instead of computing it too
        known = _read(folder / FILE)
        missing = {name: place for place, name in enumerate(names) if name not in known}
        if missing:
            log.info('computing the features of %d pictures before the head', len(missing))
            rows = infer.run(infer.make_logits(body), variables, images, np.array([*missing.values()]), batch_size)
            known |= dict(zip(missing, rows, strict=True))
            _write(folder / FILE, known)
    return np.stack([known[name] for name in names])


def key(body: Model, variables: Variables, about: Mapping[str, Any]) -> str:
    """A short name for all that features depend on besides the picture."""
    facts = [body.name, dict(sorted(about.items())), body.input._asdict(), jax.__version__]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for name, leaf in sorted(flatten(variables).items()):
        if not name.startswith('params/head/'):
            digest.update(name.encode())
            digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:16]


def _read(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    with np.load(path) as file:
        return dict(zip(file['pictures'].tolist(), file['features'], strict=True))


def _write(path: Path, known: Mapping[str, np.ndarray]) -> None:
    part = path.with_name(f'.part-{path.name}')
    np.savez(part, pictures=np.array([*known]), features=np.stack([*known.values()]))
    part.replace(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    with (folder / '.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
