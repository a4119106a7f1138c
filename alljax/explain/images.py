"""Files as the network is given them: read, made square and filtered as prediction does."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8
from scipy.ndimage import gaussian_filter

from alljax.data import augment, denoise, image
from alljax.trained import Trained
from alljax.training import infer

BLUR = 1 / 20  # of the side of the input: the standard deviation of the blur that hides what tells a class


class Cell(NamedTuple):
    """A file that could be read."""

    path: Path
    pixels: UInt8[np.ndarray, 'side side 3']  # fitted and filtered, before the network's own size
    note: str  # what was converted while reading; '' if nothing was


class Unread(NamedTuple):
    """A file that could not be read, and why."""

    path: Path
    error: str


class Batch(NamedTuple):
    """Some cells at the size of the input."""

    rgb: Float[Array, 'batch size size 3']  # 0 to 255
    x: Float[Array, 'batch size size 3']  # normalized, as the network takes it
    blurred: Float[Array, 'batch size size 3']  # the same cells without detail, normalized


def read(run: Trained, paths: Iterable[Path]) -> list[Cell | Unread]:
    """Every image at the paths, in order; a folder stands for all images in it and below."""
    return [_read(run, file) for path in paths for file in _files(path)]


def fit(pixels: UInt8[np.ndarray, 'height width 3'], run: Trained) -> UInt8[np.ndarray, 'side side 3']:
    """A cell as cells were trained on; for published weights a photograph as those were trained on."""
    if run.facts.get('photograph'):
        form = run.model.input
        return image.photograph(pixels, form.size, form.resize, form.interpolation)
    return image.to_square(pixels, run.facts['data_size'])


def batch(run: Trained, cells: list[Cell]) -> Batch:
    """Cells as the network takes them, and blurred copies of them.

    The blur is of the picture, not of the network's input: a mean of hues would be no hue.
    """
    form = run.model.input
    rgb = _resized(jnp.asarray(np.stack([cell.pixels for cell in cells])), form.size)
    deviation = form.size * BLUR
    blurred = jnp.asarray(gaussian_filter(np.asarray(rgb), (0, deviation, deviation, 0), mode='reflect'))
    return Batch(rgb, _to_input(rgb, form), _to_input(blurred, form))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(p for p in path.rglob('*') if p.suffix.lower() in image.SUFFIXES and not p.name.startswith('.'))
    return found or [path]  # reading it says what is wrong


def _read(run: Trained, path: Path) -> Cell | Unread:
    if path.is_dir():
        return Unread(path, 'is a folder without images')
    try:
        picture = image.read(path)
    except image.ImageError as error:
        return Unread(path, f'{error}')
    pixels = denoise.filtered(fit(picture.pixels, run)[None], run.facts.get('denoise', 'none'))[0]
    return Cell(path, pixels, picture.note)


_resized = jax.jit(augment.resize, static_argnums=1)
_to_input = jax.jit(infer.to_input, static_argnums=1)
