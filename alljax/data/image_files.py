"""Image files as a trained model takes them: found, read, made square and filtered."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from alljax.data import denoise, image


class Picture(NamedTuple):
    """A file that could be read."""

    path: Path
    pixels: UInt8[np.ndarray, 'side side 3']  # fitted and filtered, before the network's own size
    note: str  # what was converted while reading; '' if nothing was


class Unread(NamedTuple):
    """A file that could not be read, and why."""

    path: Path
    error: str


def files(paths: Iterable[Path]) -> list[Path]:
    """Every file at the paths, in order; a folder stands for all images in it and below."""
    return [file for path in paths for file in _within(path)]


def read(facts: Mapping[str, Any], path: Path) -> Picture | Unread:
    """A file as the model with these facts takes it: a cell as cells were trained on, or a photograph."""
    if path.is_dir():
        return Unread(path, 'is a folder without images')
    try:
        picture = image.read(path)
    except image.ImageError as error:
        return Unread(path, f'{error}')
    filtered = denoise.filtered(fit(picture.pixels, facts)[None], facts.get('denoise', 'none'))[0]
    return Picture(path, filtered, picture.note)


def fit(pixels: UInt8[np.ndarray, 'height width 3'], facts: Mapping[str, Any]) -> UInt8[np.ndarray, 'side side 3']:
    """Pixels in the square in which the model's cells were kept, or as published weights take a photograph."""
    if facts.get('photograph'):
        form = facts['input']
        return image.photograph(pixels, form['size'], form['resize'], form['interpolation'])
    return image.to_square(pixels, facts['data_size'])


def _within(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.rglob('*') if p.suffix.lower() in image.SUFFIXES and not p.name.startswith('.'))
    return found or [path]  # reading it says what is wrong
