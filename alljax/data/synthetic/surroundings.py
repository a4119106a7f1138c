"""The surroundings of the white cell: red cells, platelets, and a film of plasma that took a little stain."""

import math

import numpy as np
from jaxtyping import Float32

from alljax.data.synthetic.appearance import pick
from alljax.data.synthetic.shapes import Field, Grid, cover, distance, outline, ridge
from alljax.data.synthetic.slides import Slide
from alljax.data.synthetic.texture import noise

OVERLAP = 9.0  # how far a red cell may reach under the white cell, pixels at 257
SPACING = (0.62, 1.08)  # least distance between red cells, in their diameters
PLATELET_CHANCE = 0.3


def surroundings(
    slide: Slide, rng: np.random.Generator, grid: Grid, cell: Field
) -> Float32[np.ndarray, 'stains size size']:
    """Draw the amounts of stain around a white cell, whose signed distance is `cell`."""
    red = np.zeros_like(cell)
    for center, diameter in _places(slide, rng, cell, grid):
        red_cell(red, slide, rng, grid, center, diameter / 2)
    red *= 1 - cover(cell - 1.5, 1.5)
    purple = np.zeros_like(cell)
    while rng.random() < PLATELET_CHANCE:
        middle = rng.uniform(-125, 125, 2).tolist()
        platelet(purple, rng, grid, cell, (middle[0], middle[1]))
    cloud = noise(rng, len(cell), (60.0, 200.0), grid.pixel)
    film = pick(rng, (0.02, 0.1)) * (1 + 0.3 * cloud)
    return np.stack([purple, film * 0.4 + purple * 0.3, red + film]).astype(np.float32)


def _places(slide: Slide, rng: np.random.Generator, cell: Field, grid: Grid) -> list[tuple[tuple[float, float], float]]:
    """Choose centers and diameters of red cells that keep off the white cell and, more or less, off each other."""
    placed: list[tuple[tuple[float, float], float]] = []
    spacing = pick(rng, SPACING)
    for _ in range(rng.poisson(slide.crowding)):
        y, x = rng.uniform(-165, 165, 2).tolist()
        diameter = slide.red_diameter * math.exp(rng.normal(0, 0.06))
        row, column = (np.clip(round(v / grid.pixel + (len(cell) - 1) / 2), 0, len(cell) - 1) for v in (y, x))
        if cell[row, column] < diameter / 2 - OVERLAP:
            continue
        if all(np.hypot(y - other[0], x - other[1]) > spacing * diameter for other, _ in placed):
            placed.append(((y, x), diameter))
    return placed


def red_cell(
    red: Field, slide: Slide, rng: np.random.Generator, grid: Grid, center: tuple[float, float], radius: float
) -> None:
    """Lay a red cell over what is in `red` already: a dish, thin in its middle, with a rim."""
    shape = outline(rng, radius, 1 + abs(rng.normal(0, 0.12)), 0.022)
    hollow = (rng.normal(0, 0.1, 2) * radius).tolist()
    width, pallor = pick(rng, (0.38, 0.6)), slide.pallor * pick(rng, (0.6, 1.25))
    density = slide.red_density * math.exp(rng.normal(0, 0.08))
    window = grid.window(center, radius * 1.35 + 6)
    if window is None:
        return
    y, x = grid.y[window] - center[0], grid.x[window] - center[1]
    signed = distance(shape, y, x)
    away = ((y - hollow[0]) ** 2 + (x - hollow[1]) ** 2) / (width * radius) ** 2
    dish = 1 - pallor * np.exp(-away * np.sqrt(away + 0.05))
    thickness = density * dish * cover(signed, 2.0) + slide.rim * density * ridge(signed, -1.5, 1.8)
    # A rim bends light outward: the thin bright line just outside it is light the plasma seems not to absorb.
    thickness = (thickness - 0.25 * slide.rim * ridge(signed, 4.0, 1.8)).astype(np.float32)
    before = red[window]
    # Where cells lie on each other the smear is thicker, though less than the sum, because they flatten.
    red[window] = np.maximum(before, thickness) + 0.45 * np.minimum(before, thickness)


def platelet(purple: Field, rng: np.random.Generator, grid: Grid, cell: Field, center: tuple[float, float]) -> None:
    """Lay a platelet beside the white cells, whose signed distance is `cell`."""
    radius = pick(rng, (6.0, 11.0))
    shape = outline(rng, radius, pick(rng, (1.0, 1.5)), 0.07)
    density = pick(rng, (0.25, 0.5))
    window = grid.window(center, radius * 1.7)
    if window is None:
        return
    y, x = grid.y[window] - center[0], grid.x[window] - center[1]
    signed = distance(shape, y, x)
    granules = noise(rng, max(signed.shape), (3.5, 7.0), grid.pixel)[: signed.shape[0], : signed.shape[1]]
    inside = cover(signed, 2.5) * (1 - cover(cell[window], 2.0))
    purple[window] += (density * inside * (0.75 + 0.4 * granules * cover(signed + 3, 2.0))).clip(0).astype(np.float32)
