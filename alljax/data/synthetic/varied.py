"""One cell as any laboratory might photograph it: for whoever learns where cells lie, not which class they are.

Wider than the cells of the drawn ALL-IDB2 in all that a segmentation must not depend on: kind of white cell, stain,
light, magnification, sharpness, what lies around it. The numbers were set by looking at published pictures, among
them half of those on which tests/benchmarks/RESULTS.md has scores; no pixel of them is in what is drawn.
"""

import io
import math
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float32
from PIL import Image, ImageFilter

from alljax.data.image import RgbImage
from alljax.data.synthetic import neutrophil
from alljax.data.synthetic.appearance import APPEARANCES, CLASSES, Appearance, choose_appearance, pick
from alljax.data.synthetic.cell import Body, Drawing, shape_cell, stain_cell
from alljax.data.synthetic.shapes import Grid, cover, intersection, rectangle
from alljax.data.synthetic.slides import STAINS, Slide, expose, slide
from alljax.data.synthetic.surroundings import red_cell, surroundings
from alljax.data.synthetic.texture import noise

Amounts = Float32[np.ndarray, 'stains height width']

MONOCYTE = APPEARANCES['large normal']._replace(
    diameter=(128.0, 176.0), stretch=(1.0, 1.35), wave=(0.02, 0.085), share=(0.4, 0.62), eccentricity=(0.1, 0.7),
    nucleus_stretch=(1.0, 1.5), nucleus_wave=(0.03, 0.08), clefts=(0.6, 1.4), cleft_depth=(0.3, 0.9),
    cleft_width=(6.0, 16.0), chromatin=(0.6, 0.95), clump=(0.08, 0.2), cytoplasm=(0.25, 0.6), vacuoles=(0.0, 6.0),
)  # fmt: skip
BAND = APPEARANCES['large normal']._replace(
    share=(0.34, 0.5), eccentricity=(0.0, 0.3), nucleus_stretch=(1.0, 1.4), nucleus_wave=(0.02, 0.05),
    clefts=(1.0, 1.0), cleft_depth=(0.7, 1.25), cleft_width=(8.0, 20.0), cytoplasm=(0.06, 0.25),
)  # fmt: skip
KINDS = {  # and how often each is drawn
    **dict.fromkeys(CLASSES, 0.1),
    'monocyte': 0.13,
    'band': 0.09,
    neutrophil.NEUTROPHIL: 0.22,
    'eosinophil': 0.1,
    'basophil': 0.06,
}
LOBED = (neutrophil.NEUTROPHIL, 'eosinophil', 'basophil')
SHARE = (0.28, 0.9)  # of the picture's side: the diameter of the cell
WIDEST = 320.0  # reference pixels of a picture: red cells are strewn no farther
SIDE = (96, 190)  # pixels of the photograph
COARSEST = 1.7  # reference pixels a pixel at which texture can still be drawn
PRESSED = 0.4  # chance of red cells that lie against the white cell
POLYCHROMASIA = (-0.25, 0.4)  # blue in red cells, for each unit of their eosin; none below 0
NEIGHBOR, TOUCHING = 0.3, 0.4  # chance of another white cell, and that it touches
AT_BORDER = 0.06  # chance that the border of the picture cuts the cell
OFF_CENTER = 0.03  # of the picture's side: standard deviation of the cell's place in either direction
EMPTY = 0.04  # chance of a picture without a white cell
CUT_OUT = 0.1  # chance that all around the cell is black, as in C-NMC, or white


class Varied(NamedTuple):
    """A varied cell, and how its picture came about."""

    drawing: Drawing
    kind: str


def draw_varied(rng: np.random.Generator) -> Varied:
    """Draw a cell of any kind, in any light; its picture is square, of SIDE pixels."""
    at_border = rng.random() < AT_BORDER
    kinds = {kind: share for kind, share in KINDS.items() if not (at_border and kind in LOBED)}
    kind = str(rng.choice(list(kinds), p=np.array(list(kinds.values())) / sum(kinds.values())))
    appearance = _widened(_appearance(kind, rng), rng)
    view = min(sum(appearance.diameter) / 2 / pick(rng, SHARE), WIDEST)
    side = int(rng.integers(*SIDE, endpoint=True))
    fine = max(side, math.ceil(view / COARSEST))
    frame = rectangle(fine, fine, view / fine)
    taken = varied_slide(rng)
    moved = _moved(frame, *(_border_place(rng, view) if at_border else rng.normal(0, OFF_CENTER * view, 2)))
    body, amounts = _white_cell(kind, appearance, rng, moved)
    if rng.random() < EMPTY:
        body = body._replace(cell=np.full_like(body.cell, view), nucleus=np.full_like(body.cell, view))
        amounts = np.zeros_like(amounts)
    alone = at_border or rng.random() > NEIGHBOR or not (body.cell < 0).any()
    other = None if alone else _neighbor(rng, moved, body, view)
    occupied = body.cell if other is None else np.minimum(body.cell, other[0])
    around = surroundings(taken, rng, frame, occupied)
    if rng.random() < PRESSED:
        around[2] = np.maximum(around[2], _pressed(taken, rng, frame, occupied))
    around[1] += max(pick(rng, POLYCHROMASIA), 0) * around[2]
    around = around * (1 - cover(occupied, 1.6))
    if other is not None:
        around = around + other[1] * (1 - cover(body.cell, 1.6))
    image = expose(around + amounts, taken, rng, frame)
    image, cell, nucleus = (_at(layer, side) for layer in (image, body.cell < 0, body.nucleus < 0))
    drawn = Drawing(_processed(image, rng), nucleus, cell & ~nucleus)
    return Varied(_cut_out(drawn, rng) if rng.random() < CUT_OUT and (body.cell < 0).any() else drawn, kind)


def varied_slide(rng: np.random.Generator) -> Slide:
    """Draw a slide whose stain, light and sharpness differ more than those of one laboratory."""
    base = slide(int(rng.integers(2**31)), 1)
    tilt = np.exp(rng.normal(0, 0.18, (3, 3)))
    strength = np.array([pick(rng, (0.7, 1.7)), pick(rng, (0.45, 1.7)), pick(rng, (0.3, 1.6))])
    light = np.clip(rng.normal(0.9, 0.06, 3) * pick(rng, (0.7, 1.2)) * np.exp(rng.normal(0, 0.05, 3)), 0.3, 1.2)
    if rng.random() < 0.3:  # a lamp without a filter: yellow
        light = light * (1, pick(rng, (0.88, 1.0)), pick(rng, (0.45, 0.85)))
    return base._replace(
        stains=tuple(tuple(row) for row in (np.array(STAINS) * tilt * strength[:, None]).tolist()),
        light=tuple(light.tolist()),
        vignette=pick(rng, (0.0, 0.2)),
        veil=pick(rng, (0.0, 0.16)),
        focus=pick(rng, (0.6, 2.4)),
        grain=pick(rng, (0.002, 0.02)),
        red_diameter=pick(rng, (52.0, 100.0)),
        red_density=pick(rng, (0.05, 1.3)),
        pallor=pick(rng, (0.1, 0.9)),
        rim=pick(rng, (0.05, 0.6)),
        crowding=pick(rng, (0.0, 42.0)),
    )


def _appearance(kind: str, rng: np.random.Generator) -> Appearance:
    if kind in CLASSES:
        return choose_appearance(kind, rng)
    return {'monocyte': MONOCYTE, 'band': BAND}.get(kind, neutrophil.APPEARANCE)


def _widened(appearance: Appearance, rng: np.random.Generator) -> Appearance:
    """Ranges of shape as they are where a smear pulled or squeezed the cell."""
    if rng.random() < 0.7:
        return appearance
    return appearance._replace(
        stretch=(1.0, pick(rng, (1.2, 1.8))), wave=(appearance.wave[0], appearance.wave[1] + pick(rng, (0.0, 0.05)))
    )


def _white_cell(kind: str, appearance: Appearance, rng: np.random.Generator, frame: Grid) -> tuple[Body, Amounts]:
    """Outlines and amounts of stain of a white cell; granules as its kind has them."""
    if kind not in LOBED:
        body = shape_cell(appearance, rng, frame)
        amounts = stain_cell(appearance, rng, body, frame)
        if rng.random() < 0.4:  # eosin that some laboratories' cytoplasm takes
            amounts[2] += pick(rng, (0.0, 0.6)) * cover(body.cell, 1.6) * (1 - cover(body.nucleus, 2.0))
        return body, amounts
    body = neutrophil.shape_neutrophil(rng, frame)
    amounts = neutrophil.stain_neutrophil(rng, body, frame)
    inside = cover(body.cell + 2, 2.0)
    grain = noise(rng, len(body.cell), (7.0, 15.0), frame.pixel)
    if kind == 'eosinophil':
        over = inside * (1 - 0.75 * cover(body.nucleus, 2.0))
        amounts[2] += pick(rng, (0.5, 1.3)) * (0.75 + 0.45 * grain).clip(0) * over
        amounts[0] += pick(rng, (0.0, 0.15)) * over
    elif kind == 'basophil':
        over = inside * (1 - 0.5 * cover(body.nucleus, 2.0))
        amounts[0] += pick(rng, (0.15, 0.45)) * np.tanh(2 * (grain - 0.3)).clip(0) * over
    else:
        amounts[2] += pick(rng, (0.0, 0.35)) * inside * (1 - cover(body.nucleus, 2.0))
        amounts[1] += pick(rng, (0.0, 0.3)) * inside
    return body, np.maximum(amounts, 0)


def _neighbor(
    rng: np.random.Generator, frame: Grid, body: Body, view: float
) -> tuple[Float32[np.ndarray, 'height width'], Amounts] | None:
    """The outline and amounts of another white cell, pressed flat where it touches; None where it is not in view."""
    kind, angle = str(rng.choice([*CLASSES, 'monocyte', neutrophil.NEUTROPHIL])), rng.uniform(0, 2 * np.pi)
    appearance = _appearance(kind, rng)._replace(vacuoles=(0.0, 0.0))
    radius = math.sqrt(np.count_nonzero(body.cell < 0) / math.pi) * frame.pixel
    gap = pick(rng, (-6.0, 2.0)) if rng.random() < TOUCHING else pick(rng, (2.0, 60.0))
    far = radius + sum(appearance.diameter) / 4 + gap
    reach = far * max(abs(math.sin(angle)), abs(math.cos(angle)))
    # lobes are drawn as wide as the part of the cell that is seen
    if reach - (0 if kind in LOBED else sum(appearance.diameter) / 4) > view / 2:
        return None
    moved = _moved(frame, far * math.sin(angle), far * math.cos(angle))
    other, amounts = _white_cell(kind, appearance, rng, moved)
    flat = intersection(other.cell, 1.0 - body.cell, 4.0)
    return flat, (amounts * cover(flat, 1.6)).astype(np.float32)


def _moved(frame: Grid, down: float, right: float) -> Grid:
    """The coordinates from another place than the middle of the picture."""
    return frame._replace(y=frame.y - np.float32(down), x=frame.x - np.float32(right))


def _border_place(rng: np.random.Generator, view: float) -> tuple[float, float]:
    """A place near the middle of one side of the picture."""
    far, along = pick(rng, (0.25, 0.5)) * view * rng.choice((-1, 1)), float(rng.normal(0, OFF_CENTER * view))
    return (far, along) if rng.random() < 0.5 else (along, far)


def _pressed(
    taken: Slide, rng: np.random.Generator, frame: Grid, occupied: Float32[np.ndarray, 'height width']
) -> Float32[np.ndarray, 'height width']:
    """The amount of eosin in red cells that lie against the white cell, as in the thick part of a smear."""
    red = np.zeros_like(occupied)
    radius = taken.red_diameter / 2
    ring = np.argwhere(np.abs(occupied - pick(rng, (0.7, 0.95)) * radius) < 2 * frame.pixel)
    for number in rng.permutation(len(ring))[: int(rng.integers(1, 9))]:
        row, column = ring[number]
        red_cell(red, taken, rng, frame, (float(frame.y[row, column]), float(frame.x[row, column])), radius)
    return red * (1 - cover(occupied - 1.5, 1.5))


def _at(pixels: np.ndarray, side: int) -> np.ndarray:
    """A picture or a mask at so many pixels a side."""
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BOX))


def _processed(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """The picture as a camera and a file leave it: contrast, sharpening, JPEG."""
    if rng.random() < 0.4:
        image = np.round(255 * (image / 255) ** math.exp(rng.normal(0, 0.25))).astype(np.uint8)
    if rng.random() < 0.3:  # levels that somebody stretched until the background was white
        black, gain = pick(rng, (0.0, 40.0)), pick(rng, (1.0, 1.45))
        image = np.clip((image - black) * gain, 0, 255).astype(np.uint8)
    picture = Image.fromarray(image)
    if rng.random() < 0.25:
        picture = picture.filter(ImageFilter.UnsharpMask(pick(rng, (1.0, 3.0)), int(rng.integers(40, 160)), 0))
    if rng.random() < 0.4:
        file = io.BytesIO()
        picture.save(file, 'JPEG', quality=int(rng.integers(30, 96)))
        picture = Image.open(file)
    return np.asarray(picture.convert('RGB'))


def _cut_out(drawn: Drawing, rng: np.random.Generator) -> Drawing:
    """The cell alone, with a seam of a pixel or few, on black or white."""
    seam = pick(rng, (0.0, 5.0))
    outside = scipy.ndimage.distance_transform_edt(~(drawn.nucleus | drawn.cytoplasm)) > seam
    level = 0 if rng.random() < 0.8 else 255
    return drawn._replace(image=np.where(outside[..., None], np.uint8(level), drawn.image))
