"""A whole microscope field as ALL-IDB1 has them: white cells among red cells, platelets and dirt, and the truth."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8, UInt16

from alljax.data.synthetic.appearance import CLASSES, choose_appearance, pick
from alljax.data.synthetic.cell import shape_cell, stain_cell
from alljax.data.synthetic.field_layout import Place, cloud, free_corner, red_cells
from alljax.data.synthetic.neutrophil import APPEARANCE, NEUTROPHIL, shape_neutrophil, stain_neutrophil
from alljax.data.synthetic.shapes import Field, Grid, cover, distance, intersection, outline, rectangle
from alljax.data.synthetic.slides import Slide, exposure, photograph
from alljax.data.synthetic.surroundings import platelet, red_cell

SIZE = (2592, 1944)  # width and height of ALL-IDB1's fields, at the scale of ALL-IDB2's crops
SMALLEST = 256  # pixels a side
MARGIN = 128  # pixels drawn beyond the border, so that cells are cut there
WHITE = (20.0, 100.0)  # white cells in a field of SIZE
TOUCHING = 0.25  # of the white cells touch another
FAR = np.float32(400.0)  # signed distance where no white cell is near
PLATELETS = (3.0, 30.0)  # in a field of SIZE
DIRT = (0.0, 9.0)  # clusters of stain that fell out, in a field of SIZE
NEUTROPHILS = (0.2, 0.8)  # of a field's normal cells, the others being lymphocytes
LIKELY = 0.8  # of a leukemic field's blasts are of the slide's own kind


class FieldDrawing(NamedTuple):
    """A field and the truth about it; cells are numbered from 1 in the order of the lists."""

    image: UInt8[np.ndarray, 'height width 3']
    cells: UInt16[np.ndarray, 'height width']  # the number of the white cell at each pixel, 0 for none
    kinds: tuple[str, ...]  # of each cell, one of CLASSES or NEUTROPHIL
    boxes: Float[np.ndarray, 'cells 4']  # left, top, width, height of what is seen of it
    centers: Float[np.ndarray, 'cells 2']  # x, y: the center of mass of what is seen


class _Canvas(NamedTuple):
    """The layers that grow while a field is drawn, MARGIN pixels larger than it on each side."""

    frame: Grid
    white: Field  # signed distance of the nearest white cell
    inside: Field  # 1 in a white cell
    amounts: Float32[np.ndarray, 'stains height width']  # of stain, in the white cells
    cells: UInt16[np.ndarray, 'height width']


def draw_field(slide: Slide, blasts: str, rng: np.random.Generator, size: tuple[int, int] = SIZE) -> FieldDrawing:
    """Draw a field of a slide with `blasts` of that kind, mostly, among normal cells; '' for normal cells only.

    `size` is its width and height in pixels. A smaller field is a part of a larger one: its cells are as large, and
    fewer.
    """
    width, height = size
    shape = (height + 2 * MARGIN, width + 2 * MARGIN)
    canvas = _Canvas(
        rectangle(*shape),
        np.full(shape, FAR, np.float32),
        np.zeros(shape, np.float32),
        np.zeros((3, *shape), np.float32),
        np.zeros(shape, np.uint16),
    )
    kinds = _white_cells(canvas, blasts, rng, size)
    amounts = _around(canvas, slide, rng, size)
    amounts *= 1 - canvas.inside
    amounts += canvas.amounts
    _dirt(amounts, canvas.frame, rng, size)
    seen = (slice(MARGIN, MARGIN + height), slice(MARGIN, MARGIN + width))
    amounts = amounts[:, *seen] * _unevenness(rng, (height, width))
    image = photograph(amounts, slide, exposure(slide, rng), _lamps(slide, rng, (height, width)), rng)
    return _with_truth(image, canvas.cells[seen], kinds)


def _white_cells(canvas: _Canvas, blasts: str, rng: np.random.Generator, size: tuple[int, int]) -> list[str]:
    """Draw the white cells onto the canvas; returns the kind of each."""
    share = size[0] * size[1] / (SIZE[0] * SIZE[1])
    wanted = max(2, round(pick(rng, WHITE) * share))
    blastic = pick(rng, (0.4, 0.95))
    neutrophils = pick(rng, NEUTROPHILS)
    kinds: list[str] = []
    for number in range(wanted):
        touching, blast, own, other, lobed = rng.random(5).tolist()
        kind = NEUTROPHIL if lobed < neutrophils else 'normal'
        if blasts and (number == 0 or blast < blastic):
            kind = blasts if number == 0 or own < LIKELY else CLASSES[int(other * 3)]
        if _white_cell(canvas, kind, len(kinds) + 1, bool(kinds) and touching < TOUCHING, rng):
            kinds.append(kind)
    return kinds


def _white_cell(canvas: _Canvas, kind: str, number: int, touching: bool, rng: np.random.Generator) -> bool:
    """Draw one white cell where there is room; False where there is none."""
    appearance = APPEARANCE if kind == NEUTROPHIL else choose_appearance(kind, rng)
    reach = appearance.diameter[1] * math.sqrt(appearance.stretch[1]) * (1 + 2 * appearance.wave[1])
    side = min(int(reach) + 30, 2 * MARGIN)
    frame = rectangle(side, side)
    body = shape_neutrophil(rng, frame) if kind == NEUTROPHIL else shape_cell(appearance, rng, frame)
    height, width = canvas.white.shape
    inner = (slice(MARGIN, height - MARGIN), slice(MARGIN, width - MARGIN))
    corner = free_corner(body.cell, canvas.white, inner, touching, rng)
    if corner is None:
        return False
    window = tuple(slice(start, start + side) for start in corner)
    others = canvas.white[window]
    if touching:
        flat = intersection(body.cell, 0.5 - others, 5.0)  # where cells meet, the later one gives way
        body = body._replace(cell=flat, nucleus=intersection(body.nucleus, flat + 2.0, 3.0))
    canvas.amounts[:, *window] += (
        stain_neutrophil(rng, body, frame) if kind == NEUTROPHIL else stain_cell(appearance, rng, body, frame)
    )
    canvas.inside[window] = np.minimum(canvas.inside[window] + cover(body.cell, 1.6), 1)
    canvas.cells[window][(body.cell < 0) & (others > 0)] = number
    canvas.white[window] = np.minimum(others, body.cell)
    return True


def _around(
    canvas: _Canvas, slide: Slide, rng: np.random.Generator, size: tuple[int, int]
) -> Float32[np.ndarray, 'stains height width']:
    """Draw the amounts of stain around the white cells: red cells, platelets, and a film of plasma."""
    frame, white = canvas.frame, canvas.white
    red, purple = np.zeros_like(white), np.zeros_like(white)
    for center, diameter in red_cells(slide, rng, white, frame):
        red_cell(red, slide, rng, frame, center, diameter / 2)
    red *= 1 - cover(white - 1.5, 1.5)
    for center in _scattered(rng, PLATELETS, frame, size):
        platelet(purple, rng, frame, white, center)
    film = pick(rng, (0.02, 0.1)) * (1 + 0.3 * cloud(rng, white.shape, (60.0, 200.0)))
    return np.stack([purple, film * 0.4 + purple * 0.3, red + film]).astype(np.float32)


def _dirt(
    amounts: Float32[np.ndarray, 'stains height width'], frame: Grid, rng: np.random.Generator, size: tuple[int, int]
) -> None:
    """Strew clusters of small dark grains of stain over everything."""
    for y, x in _scattered(rng, DIRT, frame, size):
        spread, density = pick(rng, (3.0, 22.0)), pick(rng, (0.4, 1.3))
        for _ in range(1 + rng.poisson(5)):
            place = (y + rng.normal(0, spread), x + rng.normal(0, spread))
            radius = pick(rng, (0.8, 3.2))
            shape = outline(rng, radius, pick(rng, (1.0, 1.6)), 0.1)
            window = frame.window(place, 2 * radius + 3)
            if window:
                grain = cover(distance(shape, frame.y[window] - place[0], frame.x[window] - place[1]), 1.0)
                amounts[0][window] += density * grain
                amounts[1][window] += 0.4 * density * grain


def _scattered(
    rng: np.random.Generator, number: tuple[float, float], frame: Grid, size: tuple[int, int]
) -> list[Place]:
    """Places anywhere in a field, as many as fit its size."""
    share = size[0] * size[1] / (SIZE[0] * SIZE[1])
    half = np.array(frame.y.shape) / 2
    return [(float(y), float(x)) for y, x in rng.uniform(-half, half, (rng.poisson(pick(rng, number) * share), 2))]


def _unevenness(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """The strength of the stain over a field, 1 on average: thicker on one side, and cloudy."""
    return np.exp(
        pick(rng, (0.02, 0.12)) * _slope(rng, shape) + pick(rng, (0.0, 0.06)) * cloud(rng, shape, (400.0, 2000.0))
    )


def _lamps(slide: Slide, rng: np.random.Generator, shape: tuple[int, int]) -> list[Field]:
    """The light that reaches a field, in red, green and blue: less in the corners, and a little of another color."""
    (height, width), off = shape, rng.normal(0, 0.2, 2).tolist()
    frame = rectangle(height, width)
    half = max(height, width) / 2
    corners = (frame.y / half - off[0]) ** 2 + (frame.x / half - off[1]) ** 2
    lamp = (1 - (0.04 + slide.vignette) * corners) * np.exp(pick(rng, (0.0, 0.06)) * _slope(rng, shape))
    tint = rng.normal(0, 0.025, 3).tolist()
    return [(lamp * (1 + tint[color] * corners)).astype(np.float32) for color in range(3)]


def _slope(rng: np.random.Generator, shape: tuple[int, int]) -> Field:
    """A plane that rises from −1 to 1 over the larger side of a field, in a direction drawn at random."""
    turn = rng.uniform(0, 2 * np.pi)
    frame = rectangle(*shape)
    return ((frame.y * math.sin(turn) + frame.x * math.cos(turn)) / (max(shape) / 2)).astype(np.float32)


def _with_truth(
    image: UInt8[np.ndarray, 'height width 3'], cells: UInt16[np.ndarray, 'height width'], kinds: list[str]
) -> FieldDrawing:
    """The field with the cells that are seen in it, numbered anew."""
    found = np.bincount(cells.ravel(), minlength=len(kinds) + 1)[1:] > 0
    number = np.zeros(len(kinds) + 1, np.uint16)
    number[1:][found] = np.arange(1, found.sum() + 1)
    cells = number[cells]
    boxes, centers = np.zeros((found.sum(), 4)), np.zeros((found.sum(), 2))
    rows, columns = np.nonzero(cells)
    which = cells[rows, columns]
    for cell in range(len(boxes)):
        y, x = rows[which == cell + 1], columns[which == cell + 1]
        boxes[cell] = x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min()
        centers[cell] = x.mean() + 0.5, y.mean() + 0.5
    return FieldDrawing(
        image, cells, tuple(kind for kind, seen in zip(kinds, found, strict=True) if seen), boxes, centers
    )
