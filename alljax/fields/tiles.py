"""White cells of a field of any size, found in tiles that overlap: none is lost and none counted twice at a seam."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from alljax.data.in_order import in_order
from alljax.fields import survey
from alljax.fields.boxes import iou
from alljax.fields.field_image import FieldImage
from alljax.fields.finder import Finder, by_colors
from alljax.fields.scale import Scale
from alljax.fields.survey import Survey
from alljax.fields.white_cells import Found
from alljax.storage import progress_bar

SIDE = 1536  # of a tile without its overlap, in pixels of the picture that is searched
OVERLAP = 2.5  # diameters of a white cell about a tile: what is farther away changes nothing inside it
SLACK = 0.125  # diameters beyond a tile at which a cell's center is still its own: a network's moves with the tile
MANY = 8  # tiles of a field, above which a bar counts them
SAME, NEAR = 0.5, 0.25  # intersection over union, or diameters between the centers, of one cell found in two tiles


class _Tile(NamedTuple):
    """A tile without its overlap, in pixels of the picture that is searched."""

    left: int
    top: int
    right: int
    bottom: int


class FieldCells(NamedTuple):
    """The white cells of a field, from its top to its bottom, and its scale."""

    found: Found
    scale: Scale


def find(
    field: FieldImage,
    cell_pixels: float | None = None,
    *,
    finder: Finder | None = None,
    side: int = SIDE,
) -> FieldCells:
    """The white cells of a field; ImageError if it cannot be searched, with the reason and the fix.

    `cell_pixels` is the diameter of a white cell if it is known; else it is estimated from the red cells. `finder`
    looks for them in each tile, by default by their colors.
    """
    finder = finder or by_colors()
    look = survey.survey(field, cell_pixels, by_color=finder.by_color)
    return find_in(field, look, finder, side=side)


def find_in(
    field: FieldImage,
    look: Survey,
    finder: Finder,
    *,
    side: int = SIDE,
) -> FieldCells:
    """As `find`, for a field that was surveyed before."""
    tiles = list(_tiles(field, look, side))
    found = in_order(lambda tile: _in_tile(field, look, finder, tile), tiles)
    every = list(progress_bar.each(found, 'tiles', len(tiles), ' tiles') if len(tiles) > MANY else found)
    together = Found(*(np.concatenate(part) for part in zip(*every, strict=True)))
    once = together.take(_first_of_each(together, look.scale.cell_pixels))
    return FieldCells(once.take(np.lexsort((once.centers[:, 0], once.centers[:, 1]))), look.scale)


def _tiles(field: FieldImage, look: Survey, side: int) -> Iterator[_Tile]:
    """The left, top, right and bottom of each tile without its overlap, in pixels of the picture that is searched."""
    width, height = max(1, field.width // look.step), max(1, field.height // look.step)
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield _Tile(left, top, min(left + side, width), min(top + side, height))


def _in_tile(field: FieldImage, look: Survey, finder: Finder, tile: _Tile) -> Found:
    """The cells whose center is in a tile, or just outside of it, in pixels of the field."""
    left, top, right, bottom = tile
    step, margin = look.step, int(np.ceil(OVERLAP * look.diameter))
    first = max(0, left - margin), max(0, top - margin)
    last = (
        min(max(1, field.width // step), right + margin),
        min(max(1, field.height // step), bottom + margin),
    )
    origin = first[0] * step, first[1] * step
    size = min(field.width, last[0] * step) - origin[0], min(field.height, last[1] * step) - origin[1]
    pixels = survey.averaged(field.window(*origin, *size), step)
    found = finder.find(pixels, look, origin)
    centers, slack = found.centers + np.array(first), SLACK * look.diameter
    inside = ((centers >= (left - slack, top - slack)) & (centers < (right + slack, bottom + slack))).all(1)
    here = found.take(inside)
    corner = np.array([*origin, 0, 0], float)
    return Found(here.centers * step + corner[:2], here.boxes * step + corner, here.areas * step**2, here.confidences)


def _first_of_each(found: Found, diameter: float) -> np.ndarray:
    """The cells without the less certain of two that are one: a cell in the middle of a seam may move by a pixel."""
    kept: list[int] = []
    for place in np.argsort(-found.confidences, kind='stable'):
        before = found.take(np.array(kept, int))
        near = np.hypot(*(before.centers - found.centers[place]).T) < NEAR * diameter
        same = iou(before.boxes, found.boxes[place : place + 1])[:, 0] > SAME
        if not (near | same).any():
            kept.append(int(place))
    return np.array(sorted(kept), int)
