"""Places of cells in a field: red cells sparse or crowded, alone or in chains, white cells apart or touching."""

import math

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image

from alljax.data.synthetic.shapes import Field, Grid
from alljax.data.synthetic.slides import Slide
from alljax.data.synthetic.surroundings import OVERLAP, SPACING
from alljax.data.synthetic.texture import noise

COARSE = 16  # pixels of a field between the points at which what varies slowly is drawn
CROP_AREA = 330.0**2  # pixels in which `Slide.crowding` tries place red cells
DENSER = (1.0, 3.0)  # times as many tries in a field, most of which is no room around a white cell
CHAINED = 0.4  # of the red cells lie against another
APART = 5.0  # least gap between white cells that do not touch, pixels
DEPTH = (1.0, 7.0)  # how far touching white cells would overlap, were they not flattened
TRIES = 60  # places that are tried for a white cell in a crowded field

Place = tuple[float, float]  # y, x from the middle of the field
Inside = Bool[np.ndarray, 'side side']


def cloud(rng: np.random.Generator, shape: tuple[int, int], wavelengths: tuple[float, float]) -> Field:
    """Draw noise of mean 0 and variance 1 that varies slowly over a field; wavelengths in pixels, COARSE at least."""
    size = max(shape) // COARSE + 2
    coarse = noise(rng, size, wavelengths, float(COARSE))
    side = size * COARSE
    smooth = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    return np.asarray(smooth, np.float32)[: shape[0], : shape[1]]


def red_cells(slide: Slide, rng: np.random.Generator, white: Field, frame: Grid) -> list[tuple[Place, float]]:
    """Choose centers and diameters of red cells that keep off the white cells, whose signed distance is `white`."""
    height, width = white.shape
    crowded = cloud(rng, (height, width), (300.0, 1600.0))
    tries = rng.poisson(rng.uniform(*DENSER) * slide.crowding * height * width / CROP_AREA)
    placed = np.zeros((tries, 3), np.float32)  # y, x, diameter
    count = 0
    for _ in range(tries):
        y, x = rng.uniform(-0.5, 0.5, 2) * (height, width)
        diameter = slide.red_diameter * math.exp(rng.normal(0, 0.06))
        spacing, chance, chained, which = rng.uniform(*SPACING), *rng.random(3)
        turn = rng.uniform(0, 2 * np.pi)
        if count and chained < CHAINED:
            other = placed[int(which * count)]
            reach = diameter * (0.7 + 0.3 * spacing)
            y, x = float(other[0]) + reach * math.sin(turn), float(other[1]) + reach * math.cos(turn)
        row, column = round(y + (height - 1) / 2), round(x + (width - 1) / 2)
        if not (0 <= row < height and 0 <= column < width):
            continue
        if white[row, column] < diameter / 2 - OVERLAP or chance > 0.62 + 0.38 * crowded[row, column]:
            continue
        near = placed[:count]
        if (np.hypot(near[:, 0] - y, near[:, 1] - x) > min(spacing, 0.9) * diameter).all():
            placed[count] = y, x, diameter
            count += 1
    return [((float(y), float(x)), float(diameter)) for y, x, diameter in placed[:count]]


def free_corner(
    cell: Float32[np.ndarray, 'side side'],
    white: Field,
    inner: tuple[slice, slice],
    touching: bool,
    rng: np.random.Generator,
) -> tuple[int, int] | None:
    """The row and column in a field at which the window of a new white cell begins; None where no place is found.

    `cell` and `white` are the signed distances of the new cell and of those in the field already, `inner` the part of
    the field in which centers may lie. A touching cell is brought up to another until they overlap by DEPTH.
    """
    side = len(cell)
    inside = cell < 0
    for _ in range(TRIES):
        row, column = (int(rng.integers(part.start, part.stop)) - side // 2 for part in inner)
        if _overlap(white, inside, row, column) < -APART:
            if not touching:
                return row, column
            moved = _brought_up(white, inside, (row, column), inner, rng)
            if moved:
                return moved
    return None


def _overlap(white: Field, inside: Inside, row: int, column: int) -> float:
    """The depth to which a new cell would lie in others, pixels; negative for a gap."""
    side = len(inside)
    return float(-white[row : row + side, column : column + side][inside].min())


def _brought_up(
    white: Field, inside: Inside, corner: tuple[int, int], inner: tuple[slice, slice], rng: np.random.Generator
) -> tuple[int, int] | None:
    """A place near a corner in which the cell just touches its nearest neighbor; None where it does not get there."""
    wanted, half = rng.uniform(*DEPTH), len(inside) // 2
    row, column = (float(value) for value in corner)
    for _ in range(80):
        depth = _overlap(white, inside, round(row), round(column))
        if depth > wanted + 8:
            return None
        if depth > wanted - 1.5:
            return round(row), round(column)
        at = round(row) + half, round(column) + half
        slope = [
            float(white[at[0] + 8, at[1]] - white[at[0] - 8, at[1]]),
            float(white[at[0], at[1] + 8] - white[at[0], at[1] - 8]),
        ]
        steep = math.hypot(*slope)
        if steep < 1e-3:
            return None
        step = min(max(wanted - depth, 1.0), 12.0)
        row, column = row - step * slope[0] / steep, column - step * slope[1] / steep
        middle = round(row) + half, round(column) + half
        if not all(part.start <= value < part.stop for value, part in zip(middle, inner, strict=True)):
            return None
    return None
