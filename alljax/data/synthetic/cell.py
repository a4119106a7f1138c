"""One white cell: its outlines, then how much of each stain its nucleus and cytoplasm took, then the photograph."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from alljax.data.synthetic.appearance import Appearance, choose_appearance, count, pick
from alljax.data.synthetic.shapes import Field, Grid, cover, distance, grid, intersection, outline, ridge, wedge
from alljax.data.synthetic.slides import Slide, expose
from alljax.data.synthetic.surroundings import surroundings
from alljax.data.synthetic.texture import noise


class Drawing(NamedTuple):
    """A crop and the truth about it."""

    image: UInt8[np.ndarray, 'size size 3']
    nucleus: Bool[np.ndarray, 'size size']
    cytoplasm: Bool[np.ndarray, 'size size']  # the cell without its nucleus


class Body(NamedTuple):
    """The outlines of a white cell, as signed distances in pixels at 257."""

    y: Field  # from the center of the cell, bent a little so that no edge is a perfect curve
    x: Field
    cell: Field
    nucleus: Field
    nucleus_center: tuple[float, float]  # from the center of the cell
    nucleus_radius: float


def draw(kind: str, slide: Slide, rng: np.random.Generator, size: int = 257) -> Drawing:
    """Draw one crop with a white cell of a class in its middle; ValueError for a kind that is none of CLASSES."""
    chosen = choose_appearance(kind, rng)
    frame = grid(size)
    body = shape_cell(chosen, rng, frame)
    stained = stain_cell(chosen, rng, body, frame)
    amounts = surroundings(slide, rng, frame, body.cell) * (1 - cover(body.cell, 1.6)) + stained
    nucleus = body.nucleus < 0
    return Drawing(expose(amounts, slide, rng, frame), nucleus, (body.cell < 0) & ~nucleus)


def stain_cell(
    appearance: Appearance, rng: np.random.Generator, body: Body, frame: Grid
) -> Float32[np.ndarray, 'stains height width']:
    """Draw the amounts of stain in a white cell; what is under it has to be taken away."""
    purple = _chromatin(appearance, rng, body, frame)
    blue = _cytoplasm(appearance, rng, body, frame)
    clear = _vacuoles(appearance, rng, body, frame)
    pink = 0.12 * cover(body.cell, 1.6) * (1 - clear)
    return np.stack([purple * (1 - 0.75 * clear), blue * (1 - 0.92 * clear), pink]).astype(np.float32)


def shape_cell(appearance: Appearance, rng: np.random.Generator, frame: Grid) -> Body:
    """Draw the outline of the cell and, within it, of the nucleus with its clefts."""
    size = len(frame.y)
    middle = rng.normal(0, 4, 2).tolist()
    y = frame.y - middle[0] + 1.3 * noise(rng, size, (48.0, 140.0), frame.pixel)
    x = frame.x - middle[1] + 1.3 * noise(rng, size, (48.0, 140.0), frame.pixel)
    radius = pick(rng, appearance.diameter) / 2
    cell = distance(outline(rng, radius, pick(rng, appearance.stretch), pick(rng, appearance.wave)), y, x)
    inner = radius * math.sqrt(pick(rng, appearance.share))
    angle, reach = rng.uniform(0, 2 * np.pi), pick(rng, appearance.eccentricity) * (radius - inner)
    center = (reach * math.sin(angle), reach * math.cos(angle))
    shape = outline(rng, inner, pick(rng, appearance.nucleus_stretch), pick(rng, appearance.nucleus_wave))
    down, right = y - center[0], x - center[1]
    nucleus = distance(shape, down, right)
    first = rng.uniform(0, 2 * np.pi)
    clefts = count(rng, appearance.clefts)
    for number in range(clefts):
        way = first + 2 * np.pi * (number + rng.uniform(-0.25, 0.25)) / clefts
        tip = inner * (1 - pick(rng, appearance.cleft_depth))
        cleft = wedge(down, right, way, (inner * 1.12, tip), pick(rng, appearance.cleft_width), rng.normal(0, 0.3))
        nucleus = intersection(nucleus, -cleft, 6.0)
    nucleus = intersection(nucleus, cell + 2.0, 3.0)
    return Body(y, x, cell, nucleus, center, inner)


def _chromatin(appearance: Appearance, rng: np.random.Generator, body: Body, frame: Grid) -> Field:
    """Stain the nucleus purple: a dome with a membrane, blocky clumps or fine dots, and pale nucleoli."""
    size = len(frame.y)
    depth = np.clip(-body.nucleus / body.nucleus_radius, 0, 1)
    texture = 1 + 0.1 * (np.sqrt(depth * (2 - depth)) - 1)
    grain = pick(rng, appearance.clump_size)
    clumps = np.tanh(1.7 * noise(rng, size, (0.6 * grain, 1.7 * grain), frame.pixel))
    texture += pick(rng, appearance.clump) * clumps
    dots = noise(rng, size, (4.5, 13.0), frame.pixel)
    texture += pick(rng, appearance.stipple) * dots
    texture += 0.10 * ridge(body.nucleus, -2.0, 1.6)
    contrast = pick(rng, appearance.nucleolus_contrast)
    for place, radius in _nucleoli(appearance, rng, body):
        signed = np.hypot(body.y - place[0], body.x - place[1]) - radius
        texture -= contrast * cover(signed, 2.2)
        texture += 0.35 * contrast * ridge(signed, 2.5, 1.6)
    return pick(rng, appearance.chromatin) * np.maximum(texture, 0.1) * cover(body.nucleus, 1.8)


def _nucleoli(appearance: Appearance, rng: np.random.Generator, body: Body) -> list[tuple[tuple[float, float], float]]:
    """Choose places, from the cell's center, and radii of nucleoli apart from each other."""
    wanted = count(rng, appearance.nucleoli)
    placed: list[tuple[tuple[float, float], float]] = []
    for _ in range(8 * wanted):
        angle, far = rng.uniform(0, 2 * np.pi), math.sqrt(rng.uniform(0, 0.42)) * body.nucleus_radius
        radius = pick(rng, appearance.nucleolus_radius)
        y, x = body.nucleus_center[0] + far * math.sin(angle), body.nucleus_center[1] + far * math.cos(angle)
        apart = all(np.hypot(y - at[0], x - at[1]) > radius + other + 5 for at, other in placed)
        if apart and len(placed) < wanted:
            placed.append(((y, x), radius))
    return placed


def _cytoplasm(appearance: Appearance, rng: np.random.Generator, body: Body, frame: Grid) -> Field:
    """Stain the cytoplasm blue: deeper toward the membrane, paler around the nucleus and most so on one side of it."""
    granules = noise(rng, len(frame.y), (6.0, 14.0), frame.pixel)
    side = rng.uniform(0, 2 * np.pi)
    facing = (body.x * math.cos(side) + body.y * math.sin(side)) / (np.hypot(body.x, body.y) + 1)
    halo = pick(rng, (0.2, 0.45)) * np.exp(-np.maximum(body.nucleus, 0) / 5)
    tone = 1 - halo * (0.65 + 0.35 * facing.astype(np.float32))
    tone *= 1 + pick(rng, (0.04, 0.10)) * granules
    tone += 0.30 * ridge(body.cell, -1.8, 1.6) + 0.15 * np.exp(body.cell.clip(-40, 0) / 9)
    # The cytoplasm above and below the nucleus is thin, but tints it.
    tone *= 1 - 0.65 * cover(body.nucleus, 2.0)
    return pick(rng, appearance.cytoplasm) * tone * cover(body.cell, 1.6)


def _vacuoles(appearance: Appearance, rng: np.random.Generator, body: Body, frame: Grid) -> Field:
    """Blow bubbles, 1 where a point is clear, into the cytoplasm; some lie over the nucleus."""
    clear = np.zeros_like(body.cell)
    wanted, placed = count(rng, appearance.vacuoles), 0
    inside = np.argwhere(body.cell < -6)
    for _ in range(12 * wanted):
        row, column = inside[int(rng.random() * len(inside))]
        over, radius = rng.random(), pick(rng, appearance.vacuole_radius)
        covered = body.nucleus[row, column] < 0
        if placed == wanted or (covered and over > 0.12) or body.cell[row, column] > -radius - 1:
            continue
        center = (float(frame.y[row, column]), float(frame.x[row, column]))
        window = frame.window(center, radius + 4) or (slice(0), slice(0))
        signed = np.hypot(frame.y[window] - center[0], frame.x[window] - center[1]) - radius
        clear[window] = np.maximum(clear[window], rng.uniform(0.7, 1) * cover(signed, 1.5))
        placed += 1
    return clear
