"""White cells in the stain of a picture: nuclei by their color, each with its cytoplasm, and no platelet or debris.

A nucleus takes more red than blue light, a red cell less: the difference of the two densities is the nuclear stain. The
cytoplasm, granules of any color too, takes more green than a red cell that takes as much blue; a pale one takes more
red than a red cell that takes as much green.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy
import skimage
from jaxtyping import Bool, Float, Int

from alljax.fields import nuclei
from alljax.fields.light import Density

# lengths are in diameters of a white cell, densities in e-foldings
NUCLEAR_BLUR, CELL_BLUR = 0.06, 0.05  # more than the colored rims of red cells out of focus
NUCLEAR, BLUE, GREEN, RED = 0.17, 0.05, 0.07, 0.03  # least stain of a nucleus, and of a cytoplasm by each color
NUCLEAR_SPREAD, BLUE_SPREAD, GREEN_SPREAD, RED_SPREAD = (
    7.0,
    2.6,
    3.5,
    3.5,
)  # and over the field's own level, in its own spread
SPREAD = 65  # percentile whose distance from the median is the spread: a third of a field may be nuclei
RED_CELLS = 60  # percentile of the density above which a pixel that is no nucleus is one of a red cell
GREEN_TO_BLUE = (0.7, 2.0)  # densities of a red cell: outside that range there are none
RED_TO_GREEN = (0.1, 0.7)
CORE, OWN = 0.35, 0.15  # of the deepest stain of a nucleus that the rest of it has at least, and its cytoplasm
REACH = 0.4  # of the cytoplasm from the nucleus
TONGUE = 0.15  # half the width of what hangs on to a cell and is no part of it
PLATELET = 0.08  # area, in squares of the diameter, of a nucleus that may be a platelet,
WHOLE = 0.25  # unless the cell about it is as large as this
TYPICAL = 0.25  # area of a nucleus, in squares of the diameter, above which size raises no doubt

Mask = Bool[np.ndarray, 'height width']


class Levels(NamedTuple):
    """The densities that part nuclei, cytoplasm and red cells in one field."""

    nuclear: float  # of red less blue
    blue: float  # of red less blue
    green: float  # of green less what a red cell has
    green_to_blue: float  # of a red cell
    red: float  # of red less what a red cell has
    red_to_green: float  # of a red cell


class Found(NamedTuple):
    """The white cells found in a field, in its pixels; a box is of the whole cell as far as it is seen."""

    centers: Float[np.ndarray, 'cells 2']  # x, y of the middle of the box
    boxes: Float[np.ndarray, 'cells 4']  # left, top, width, height
    areas: Float[np.ndarray, ' cells']  # square pixels
    confidences: Float[np.ndarray, ' cells']  # 0 to 1: how dark and how large the nucleus is

    def take(self, which: Bool[np.ndarray, ' cells'] | Int[np.ndarray, ' chosen']) -> 'Found':
        """Some of the cells."""
        return Found(*(part[which] for part in self))


class _Cell(NamedTuple):
    """A cell of a picture, in its pixels."""

    box: list[int]
    area: float
    confidence: float
    nucleus: float  # its area, in squares of the diameter


def levels(stains: list[Density], diameter: float) -> Levels:
    """The levels of a field, from pictures of parts of it whose white cells are `diameter` pixels wide."""
    smooth = np.concatenate([_blurred(stain, CELL_BLUR * diameter)[::2, ::2].reshape(-1, 3) for stain in stains])
    red, green, blue = smooth.T
    nuclear = red - blue
    total = smooth.sum(1)
    others = (total > np.percentile(total, RED_CELLS)) & (nuclear < NUCLEAR / 2)
    below = max(float(np.median(blue[others])), 1e-3) if others.any() else 1.0
    ratio = float(np.clip(np.median(green[others]) / below, *GREEN_TO_BLUE)) if others.any() else 1.0
    to_green = max(float(np.median(green[others])), 1e-3) if others.any() else 1.0
    red_ratio = float(np.clip(np.median(red[others]) / to_green, *RED_TO_GREEN)) if others.any() else 0.5
    return Levels(
        max(NUCLEAR, _above(nuclear, NUCLEAR_SPREAD)),
        max(BLUE, _above(nuclear, BLUE_SPREAD)),
        max(GREEN, _above(green - ratio * blue, GREEN_SPREAD)),
        ratio,
        max(RED, _above(red - red_ratio * green, RED_SPREAD)),
        red_ratio,
    )


def find(stain: Density, diameter: float, level: Levels) -> Found:
    """The white cells of a picture in which they are `diameter` pixels wide, in its pixels."""
    nuclear = scipy.ndimage.gaussian_filter(stain[..., 0] - stain[..., 2], NUCLEAR_BLUR * diameter)
    smooth = _blurred(stain, CELL_BLUR * diameter)
    blue, green = smooth[..., 0] - smooth[..., 2], smooth[..., 1] - level.green_to_blue * smooth[..., 2]
    parts = nuclei.lobes(nuclear > level.nuclear, diameter)
    parts = np.where(nuclear > CORE * _deepest(nuclear, parts)[parts], parts, 0)
    found = nuclei.joined(parts, (blue > level.blue) | (green > level.green), diameter)
    if not found.any():
        return none()
    distance, nearest = scipy.ndimage.distance_transform_edt(found == 0, return_indices=True)
    owner = np.where(distance < REACH * diameter, found[tuple(nearest)], 0)
    stained = (blue > np.maximum(level.blue, OWN * _deepest(blue, found)[owner])) | (
        green > np.maximum(level.green, OWN * _deepest(green, found)[owner])
    )
    stained |= smooth[..., 0] - level.red_to_green * smooth[..., 1] > level.red
    whole = np.where(stained | (found > 0), owner, 0)
    cells = [_measured(region, found, nuclear, diameter, level) for region in skimage.measure.regionprops(whole)]
    cells = [cell for cell in cells if cell.nucleus >= PLATELET or cell.area >= WHOLE * diameter**2]
    if not cells:
        return none()
    boxes, areas, confidences, _ = (np.array(part, float) for part in zip(*cells, strict=True))
    return Found(boxes[:, :2] + boxes[:, 2:] / 2, boxes, areas, confidences)


def none() -> Found:
    """No cell."""
    return Found(np.zeros((0, 2)), np.zeros((0, 4)), np.zeros(0), np.zeros(0))


def _deepest(values: Float[np.ndarray, 'height width'], parts: nuclei.Labels) -> Float[np.ndarray, ' numbers']:
    """The largest value of each part, by its number; 0 where it has none above 0."""
    deepest = np.zeros(parts.max(initial=0) + 1)
    np.maximum.at(deepest, parts[parts > 0], values[parts > 0])
    return deepest


def _measured(
    region: Any,
    found: nuclei.Labels,
    nuclear: Float[np.ndarray, 'height width'],
    diameter: float,
    level: Levels,
) -> _Cell:
    """One cell without what hangs on to it by a tongue."""
    top, left, bottom, right = region.bbox
    nucleus = found[top:bottom, left:right] == region.label
    cell = _without_tongues(region.image, nucleus, diameter, nuclear.shape, region.bbox)
    rows, columns = (np.flatnonzero(cell.any(axis)) for axis in (1, 0))
    first, last = (int(columns[0]), int(rows[0])), (int(columns[-1]), int(rows[-1]))
    box = [left + first[0], top + first[1], last[0] - first[0] + 1, last[1] - first[1] + 1]
    contrast = float(nuclear[top:bottom, left:right][nucleus].mean())
    size = np.count_nonzero(nucleus) / diameter**2
    confidence = (1 - level.nuclear / contrast) * min(1.0, size / TYPICAL)
    return _Cell(box, float(np.count_nonzero(cell)), confidence, size)


def _without_tongues(
    cell: Mask, nucleus: Mask, diameter: float, shape: tuple[int, ...], box: tuple[int, int, int, int]
) -> Mask:
    """The cell opened by a disk; the border of the picture, where it is cut, is none of its own."""
    radius = max(1, round(TONGUE * diameter))
    sides = ((box[0] == 0, box[2] == shape[0]), (box[1] == 0, box[3] == shape[1]))
    padded = np.pad(cell, radius)
    for axis, (first, last) in enumerate(sides):
        padded = np.moveaxis(padded, axis, 0)
        if first:
            padded[:radius] = padded[radius]
        if last:
            padded[-radius:] = padded[-radius - 1]
        padded = np.moveaxis(padded, 0, axis)
    inner = (slice(radius, -radius),) * 2
    opened = skimage.morphology.isotropic_opening(padded, radius)[inner] | nucleus
    parts = skimage.measure.label(opened)
    return parts == np.bincount(parts[nucleus]).argmax()


def _blurred(stain: Density, deviation: float) -> Density:
    return scipy.ndimage.gaussian_filter(stain, (deviation, deviation, 0))


def _above(values: Float[np.ndarray, ' pixels'], spreads: float) -> float:
    """The field's own level and so many of its spreads above; below 0, that of empty places, are red cells."""
    middle, high = np.maximum(np.percentile(values, [50, SPREAD]), 0)
    return float(middle + spreads * (high - middle))
