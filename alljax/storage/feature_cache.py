"""Rows that were computed from pictures, kept on disk by the pictures' pixels."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from alljax.storage.atomic import write_whole
from alljax.storage.locks import locked

FILE = 'features.npz'


def by_picture(
    folder: Path,
    images: UInt8[np.ndarray, 'cells height width 3'],
    compute: Callable[[Int[np.ndarray, ' missing']], Float[np.ndarray, 'missing ...']],
) -> Float[np.ndarray, 'cells ...']:
    """A row for each picture, from the `folder` where it has them, else by `compute` of their places and kept there."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [hashlib.sha256(image.tobytes()).hexdigest() for image in images]
    with locked(folder / '.lock'):  # another run that wants the same waits for it, instead of computing it too
        known = _read(folder / FILE)
        missing = {name: place for place, name in enumerate(names) if name not in known}
        if missing:
            known |= dict(zip(missing, compute(np.array([*missing.values()])), strict=True))
            _write(folder / FILE, known)
    return np.stack([known[name] for name in names])


def _read(path: Path) -> dict[str, Float[np.ndarray, ' ...']]:
    if not path.is_file():
        return {}
    with np.load(path) as file:
        return dict(zip(file['pictures'].tolist(), file['features'], strict=True))


def _write(path: Path, known: Mapping[str, Float[np.ndarray, ' ...']]) -> None:
    pictures, features = np.array([*known]), np.stack([*known.values()])
    write_whole(path, lambda file: np.savez(file, pictures=pictures, features=features))
