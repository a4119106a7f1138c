"""A slide: how strongly it took the stain, how it was lit and focused, and how its red cells lie."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float32, UInt8

from alljax.data.synthetic.appearance import pick
from alljax.data.synthetic.shapes import Field, Grid

# Optical density (natural logarithm) of red, green and blue at unit amount of each stain of a Wright-Leishman smear.
STAINS = (
    (0.98, 1.28, 0.58),  # azure B on DNA: purple
    (0.62, 0.50, 0.16),  # methylene blue on RNA: blue
    (0.15, 0.43, 0.36),  # eosin on hemoglobin: salmon
)
LIGHT = (0.86, 0.80, 0.82)  # an empty field, as a fraction of a white pixel


class Slide(NamedTuple):
    """Properties that all cells of one slide share; lengths in pixels of a 257-pixel crop."""

    number: int
    stains: tuple[tuple[float, float, float], ...]  # optical density of red, green, blue, one row a stain
    light: tuple[float, float, float]  # color of an empty field, fractions of a white pixel
    vignette: float  # share of light lost at the corners
    veil: float  # share of light that is glare, without image
    focus: float  # standard deviation of the blur
    fringe: tuple[float, float]  # shift of red against blue, the color fringe of a plain lens
    grain: float  # standard deviation of sensor noise, fraction of a white pixel
    red_diameter: float
    red_density: float
    pallor: float  # how much thinner a red cell is in its middle
    rim: float  # strength of the dark line around red cells
    crowding: float  # tries to place a red cell: about 9 sparse, 30 dense


def slide(seed: int, number: int) -> Slide:
    """Draw the slide of a number; it depends on nothing but (seed, number)."""
    rng = np.random.default_rng([seed, 1, number])
    tilt = rng.normal(1, 0.06, (3, 3))
    strength = np.array([pick(rng, (0.78, 1.14)), pick(rng, (0.65, 1.35)), pick(rng, (0.6, 1.4))])
    stains = np.array(STAINS) * tilt * strength[:, None]
    light = np.clip(np.array(LIGHT) * rng.normal(1, 0.05, 3) * pick(rng, (0.87, 1.1)), 0.45, 0.97)
    return Slide(
        number=number,
        stains=tuple(tuple(row) for row in stains.tolist()),
        light=tuple(light.tolist()),
        vignette=pick(rng, (0.0, 0.16)),
        veil=pick(rng, (0.02, 0.14)),
        focus=pick(rng, (0.8, 1.7)),
        fringe=tuple(rng.normal(0, 0.45, 2).tolist()),
        grain=pick(rng, (0.006, 0.016)),
        red_diameter=pick(rng, (66.0, 78.0)),
        red_density=pick(rng, (0.8, 1.15)),
        pallor=pick(rng, (0.3, 0.85)),
        rim=pick(rng, (0.12, 0.45)),
        crowding=pick(rng, (10.0, 30.0)),
    )


class Exposure(NamedTuple):
    """The stain and the light of one photograph, which differ a little from those of its slide."""

    stains: Float32[np.ndarray, 'stains 3']
    light: tuple[float, ...]
    blur: float  # standard deviation, reference pixels


def exposure(slide: Slide, rng: np.random.Generator) -> Exposure:
    """Draw the stain, the light and the focus of one photograph of a slide."""
    stains = (np.array(slide.stains) * np.exp(rng.normal(0, 0.06, 3))[:, None]).astype(np.float32)
    light = (np.array(slide.light) * math.exp(rng.normal(0, 0.03)) * np.exp(rng.normal(0, 0.012, 3))).tolist()
    return Exposure(stains, tuple(light), slide.focus * math.exp(rng.normal(0, 0.18)))


def expose(
    amounts: Float32[np.ndarray, 'stains size size'], slide: Slide, rng: np.random.Generator, grid: Grid
) -> UInt8[np.ndarray, 'size size 3']:
    """Photograph amounts of stain in a crop."""
    drawn = exposure(slide, rng)
    return photograph(amounts, slide, drawn, [_lamp(slide, rng, grid)] * 3, rng, grid.pixel)


def photograph(
    amounts: Float32[np.ndarray, 'stains height width'],
    slide: Slide,
    exposure: Exposure,
    lamp: Sequence[Field],
    rng: np.random.Generator,
    pixel: float = 1.0,
) -> UInt8[np.ndarray, 'height width 3']:
    """Photograph amounts of stain: light is absorbed (Beer-Lambert), blurred, veiled by glare, and noisy.

    `lamp` is the share of the light that reaches each pixel, in red, green and blue.
    """
    shifts = (np.array([[0.5], [0.0], [-0.5]]) * np.array(slide.fringe) / pixel).tolist()
    planes = []
    for color in range(3):
        density = sum(exposure.stains[stain, color] * amounts[stain] for stain in range(3))
        plane = exposure.light[color] * lamp[color] * np.exp(-density)
        plane = _blurred(_shifted(plane, *shifts[color]), exposure.blur / pixel)
        plane += slide.veil * (0.85 * exposure.light[color] - plane)
        # Neighbors share noise because a color sensor fills in two thirds of its values from them.
        speck = rng.standard_normal((plane.shape[0] + 1, plane.shape[1] + 1), dtype=np.float32)
        speck = speck[1:, 1:] + 0.7 * (speck[:-1, 1:] + speck[1:, :-1])
        plane += slide.grain / 1.41 * speck * np.sqrt(np.maximum(plane, 0))
        planes.append((np.clip(plane, 0, 1) * 255 + 0.5).astype(np.uint8))
    return np.stack(planes, axis=-1)


def _lamp(slide: Slide, rng: np.random.Generator, grid: Grid) -> Field:
    """Light the crop, darker to a side that differs from cell to cell, as crops come from all over a field."""
    side = rng.normal(0, 0.5, 2).tolist()
    y, x = grid.y / 128 - side[0], grid.x / 128 - side[1]
    return 1 - slide.vignette / 3 * (y * y + x * x)


def _shifted(plane: Field, down: float, right: float) -> Field:
    for axis, step in enumerate((down, right)):
        moved = np.roll(plane, 1 if step > 0 else -1, axis)
        edge = 0 if step > 0 else -1
        index = (edge, slice(None)) if axis == 0 else (slice(None), edge)
        moved[index] = plane[index]
        plane = plane + min(abs(step), 1.0) * (moved - plane)
    return plane


def _blurred(plane: Field, deviation: float) -> Field:
    for axis in (0, 1):
        plane = scipy.ndimage.gaussian_filter1d(plane, deviation, axis, mode='nearest', truncate=3.0)
    return plane
