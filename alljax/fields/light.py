"""The light that falls through an empty place of a field, and the stain of its cells as what they take away of it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real

DEGREE = 4  # of the surface: vignetting and the color of a condenser are smooth over a field
ROUNDS = 12  # of fitting, each without the pixels that the last one told to be cells
DARKER, BRIGHTER, NEAR = 0.5, 2.5, 1.5  # standard deviations off the surface that still count as empty place
SAMPLES = 30_000  # pixels that a surface is fitted to

Density = Float[np.ndarray, 'height width 3']


class Light(NamedTuple):
    """The logarithm of the light of a field's empty places, as polynomials of x and y from -1 to 1 over the field."""

    width: int  # of the field, in the pixels it is asked in
    height: int
    coefficients: Float[np.ndarray, 'terms 3']

    def at(self, x: Real[np.ndarray, ' columns'], y: Real[np.ndarray, ' rows']) -> Float[np.ndarray, 'rows columns 3']:
        """The logarithm of the light on a grid of places."""
        across, down = (2 * x / self.width - 1, 2 * y / self.height - 1)
        powers = _powers()
        rows = np.stack([down**j for _, j in powers], 1).astype(np.float32)
        columns = np.stack([across**i for i, _ in powers], 1).astype(np.float32)
        weighted = rows[:, None] * self.coefficients.T[None].astype(np.float32)  # rows, channels, terms
        return np.moveaxis(weighted @ columns.T, 1, 2)


def fitted(
    pixels: Real[np.ndarray, 'samples 3'],
    x: Real[np.ndarray, ' samples'],
    y: Real[np.ndarray, ' samples'],
    size: tuple[int, int],
) -> Light:
    """The light of a field of (width, height) pixels, from a sample of its pixels and their places.

    Empty place is where a field is brightest, all colors together: the surface is fitted again and again without the
    pixels that lie under it, which are cells, or far above it, which are glare.
    """
    step = max(1, len(pixels) // SAMPLES)
    values = np.log(np.maximum(pixels[::step].astype(float), 1))
    across, down = 2 * x[::step] / size[0] - 1, 2 * y[::step] / size[1] - 1
    terms = np.stack([across**i * down**j for i, j in _powers()], 1)
    total, empty = values.sum(1), np.ones(len(values), bool)
    for turn in range(ROUNDS):
        off = total - terms @ _least_squares(terms[empty], total[empty])
        spread = max(float(off[empty].std()), 1e-3)
        if turn < ROUNDS // 2:
            kept = (off > -DARKER * spread) & (off < BRIGHTER * spread)
        else:
            kept = np.abs(off - np.median(off[empty])) < NEAR * spread
        if kept.sum() < 2 * terms.shape[1]:
            break
        empty = kept
    return Light(*size, _least_squares(terms[empty], values[empty]))


def _least_squares(
    terms: Float[np.ndarray, 'pixels terms'], values: Float[np.ndarray, 'pixels ...']
) -> Float[np.ndarray, 'terms ...']:
    """The coefficients of the terms, by the normal equations: the terms are few and of one size, so they are exact."""
    return np.linalg.lstsq(terms.T @ terms, terms.T @ values, rcond=None)[0]


def density(pixels: Real[np.ndarray, 'height width 3'], light: Light, left: int, top: int, step: int) -> Density:
    """The stain at each pixel of a picture whose first stands at (left, top) of the field and each next `step` on.

    e-foldings of light lost in red, green and blue [Beer and Lambert]: 0 in an empty place.
    """
    height, width = pixels.shape[:2]
    middle = (step - 1) / 2
    surface = light.at(left + middle + step * np.arange(width), top + middle + step * np.arange(height))
    return (surface - np.log(np.maximum(pixels, 1).astype(np.float32))).astype(np.float32)


def _powers() -> list[tuple[int, int]]:
    return [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
