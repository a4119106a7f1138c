"""The neutrophil, which most white cells of normal blood are: lobes of one nucleus in pale pink, granular cytoplasm.

It stands in drawn fields only: single drawn cells are those of ALL-IDB2, lymphocytes and blasts.
"""

import math

import numpy as np
from jaxtyping import Float32

from alljax.data.synthetic.appearance import Appearance, count, pick
from alljax.data.synthetic.cell import Body, shape_cell, stain_cell
from alljax.data.synthetic.shapes import Field, Grid, cover, distance, intersection, outline
from alljax.data.synthetic.texture import noise

NEUTROPHIL = 'neutrophil'
APPEARANCE = Appearance(
    diameter=(112.0, 150.0), stretch=(1.0, 1.14), wave=(0.006, 0.022),
    share=(0.2, 0.3), eccentricity=(0.0, 0.2), nucleus_stretch=(1.0, 1.1), nucleus_wave=(0.01, 0.02),
    clefts=(0.0, 0.0), cleft_depth=(0.1, 0.2), cleft_width=(2.0, 4.0),
    chromatin=(0.9, 1.2), clump_size=(13.0, 20.0), clump=(0.16, 0.28), stipple=(0.02, 0.05),
    nucleoli=(0.0, 0.0), nucleolus_radius=(3.5, 5.0), nucleolus_contrast=(0.08, 0.16),
    cytoplasm=(0.06, 0.2), vacuoles=(0.0, 0.53), vacuole_radius=(2.0, 3.0),
)  # fmt: skip
LOBES = (1.6, 5.4)  # number, rounded
LOBE = (0.27, 0.36)  # radius of three or so, fraction of the cell's
ARC = (0.36, 0.48)  # radius of the curve on which the lobes lie, fraction of the cell's
STEP = (1.45, 1.95)  # from lobe to lobe, in their radii: those far apart hang together by a thread
THREAD = (1.8, 4.5)  # half width of what joins two lobes, pixels
PINK = (0.16, 0.42)  # amount of eosin in the cytoplasm


def shape_neutrophil(rng: np.random.Generator, frame: Grid) -> Body:
    """Draw the outline of the cell, and of its nucleus: lobes in a row along a curve, joined by threads."""
    body = shape_cell(APPEARANCE, rng, frame)
    radius = math.sqrt(float((body.cell < 0).sum()) / math.pi) * frame.pixel
    number, turn = count(rng, LOBES), rng.uniform(0, 2 * np.pi)
    lobe, arc = radius * pick(rng, LOBE) * math.sqrt(3.2 / number), radius * pick(rng, ARC)
    places: list[tuple[float, float]] = []
    nucleus: Field | None = None
    for _ in range(number):
        turn += lobe * pick(rng, STEP) / arc
        place = (arc * math.sin(turn) + rng.normal(0, 2.0), arc * math.cos(turn) + rng.normal(0, 2.0))
        shape = outline(rng, lobe * rng.uniform(0.82, 1.12), pick(rng, (1.0, 1.5)), 0.03)
        signed = distance(shape, body.y - place[0], body.x - place[1])
        nucleus = signed if nucleus is None else _union(nucleus, signed, 5.0)
        if places:
            nucleus = _union(nucleus, _thread(body, places[-1], place) - pick(rng, THREAD), 4.0)
        places.append(place)
    assert nucleus is not None
    return body._replace(
        nucleus=intersection(nucleus, body.cell + 4.0, 3.0), nucleus_center=places[0], nucleus_radius=lobe
    )


def stain_neutrophil(rng: np.random.Generator, body: Body, frame: Grid) -> Float32[np.ndarray, 'stains height width']:
    """Draw the amounts of stain in the cell: those of a white cell, and eosin in fine granules."""
    amounts = stain_cell(APPEARANCE, rng, body, frame)
    granules = 1 + 0.22 * noise(rng, len(body.cell), (4.0, 9.0), frame.pixel)
    amounts[2] += pick(rng, PINK) * granules * cover(body.cell, 1.6) * (1 - 0.6 * cover(body.nucleus, 2.0))
    return np.maximum(amounts, 0)


def _thread(body: Body, start: tuple[float, float], end: tuple[float, float]) -> Field:
    """The distance to the line between two points."""
    way = (end[0] - start[0], end[1] - start[1])
    along = ((body.y - start[0]) * way[0] + (body.x - start[1]) * way[1]) / (way[0] ** 2 + way[1] ** 2 + 1e-6)
    along = np.clip(along, 0, 1)
    return np.hypot(body.y - start[0] - along * way[0], body.x - start[1] - along * way[1]).astype(np.float32)


def _union(first: Field, second: Field, rounding: float) -> Field:
    """Both shapes, with the corners between them filled over `rounding` pixels."""
    return -intersection(-first, -second, rounding)
