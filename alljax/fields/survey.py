"""A first look at a field: its light, its scale and the levels of its stain, from parts that fit in memory."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from alljax.data.picture import ImageError, RgbImage
from alljax.fields import light, scale, white_cells
from alljax.fields.field_image import FieldImage
from alljax.fields.light import Light
from alljax.fields.scale import Scale
from alljax.fields.white_cells import Levels

WHOLE = 3000  # pixels a side: a field up to that is looked at whole
SIDE, PARTS = 1024, 5  # of a larger one: so many parts a side, each of so many pixels
SHORTER = 400  # pixels: the shorter side of a part in which circles are looked for
WORKING = 48  # pixels: the least width of a white cell in the picture that is searched, where the field has as many
SMALLEST_CELL = 12  # pixels: below that there is nothing to see of a nucleus


class Survey(NamedTuple):
    """All that must be the same for every tile of a field."""

    light: Light
    scale: Scale
    step: int  # field pixels a side that are averaged to one of the picture that is searched
    levels: Levels

    @property
    def diameter(self) -> float:
        """The width of a white cell in the picture that is searched."""
        return self.scale.cell_pixels / self.step


def survey(field: FieldImage, cell_pixels: float | None = None, *, by_color: bool = True) -> Survey:
    """The light, scale and levels of a field; ImageError if it cannot be searched, with the reason and the fix.

    `cell_pixels` is the diameter of a white cell if it is known; else it is estimated from the red cells. Without color
    there is nothing to find white cells `by_color`.
    """
    if cell_pixels is not None and not SMALLEST_CELL <= cell_pixels <= min(field.width, field.height):
        raise ImageError(
            f'is {field.width} × {field.height} pixels, expected a white cell of {SMALLEST_CELL} pixels to the '
            f'shorter side, found --cell_pixels={cell_pixels:g}; give its diameter in pixels of the field'
        )
    parts = list(_parts(field))
    if by_color and all((pixels == pixels[..., :1]).all() for _, _, pixels in parts):
        raise ImageError(
            'shows no color, by which white cells are told from red ones; give the field in color, or a detector that '
            'was trained by configs/detect.py (--detector)'
        )
    coarse = max(1, math.ceil(min(parts[0][2].shape[:2]) / SHORTER))
    reduced = [(left, top, averaged(pixels, coarse)) for left, top, pixels in parts]
    seen = _light(field, reduced, coarse)
    size = _estimated(reduced, seen, coarse) if cell_pixels is None else Scale(float(cell_pixels))
    step = max(1, int(size.cell_pixels // WORKING))
    stains = [light.density(averaged(pixels, step), seen, left, top, step) for left, top, pixels in parts]
    return Survey(seen, size, step, white_cells.levels(stains, size.cell_pixels / step))


def averaged(pixels: RgbImage, step: int) -> Float[np.ndarray, 'rows columns 3']:
    """The picture with squares of `step` pixels averaged to one; what is left over right and below is cut off."""
    if step == 1:
        return pixels.astype(np.float32)
    height, width = (max(1, side // step) for side in pixels.shape[:2])
    blocks = pixels[: height * step, : width * step].reshape(height, -1, width, min(step, pixels.shape[1]), 3)
    return blocks.mean((1, 3), dtype=np.float32)


def _parts(field: FieldImage) -> Iterator[tuple[int, int, RgbImage]]:
    """The left, the top and the pixels of the parts that are looked at."""
    if max(field.width, field.height) <= WHOLE:
        yield 0, 0, field.window(0, 0, field.width, field.height)
        return
    lefts, tops = (_places(side) for side in (field.width, field.height))
    for top in tops:
        for left in lefts:
            yield left, top, field.window(left, top, min(SIDE, field.width), min(SIDE, field.height))


def _places(side: int) -> list[int]:
    if side <= SIDE:
        return [0]
    return sorted({round(place) for place in np.linspace(0, side - SIDE, PARTS)})


def _light(field: FieldImage, parts: list[tuple[int, int, np.ndarray]], step: int) -> Light:
    pixels, across, down = [], [], []
    for left, top, part in parts:
        y, x = np.mgrid[: part.shape[0], : part.shape[1]]
        pixels.append(part.reshape(-1, 3))
        across.append(left + step * x.ravel() + (step - 1) / 2)
        down.append(top + step * y.ravel() + (step - 1) / 2)
    size = field.width, field.height
    return light.fitted(np.concatenate(pixels), np.concatenate(across), np.concatenate(down), size)


def _estimated(parts: list[tuple[int, int, np.ndarray]], seen: Light, step: int) -> Scale:
    area, count = np.zeros(len(scale.RADII)), np.zeros(len(scale.RADII))
    for left, top, part in parts[:: max(1, len(parts) // 9)]:
        stain = light.density(part, seen, left, top, step)
        more = scale.circles(stain)
        area, count = area + more[0], count + more[1]
    return scale.estimated(area, count, step)
