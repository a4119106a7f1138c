"""The pictures that a detector learns from: windows of fields at its scale, turned, resized, in other light."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from alljax.fields import detector_windows
from alljax.fields.boxes import Boxes, Marks
from alljax.fields.detector_network import STRIDE
from alljax.fields.detector_windows import CELL_PIXELS, Heat
from alljax.fields.field_image import FieldImage
from alljax.fields.survey import Survey

SIDE = 320  # pixels of a window, eight cells wide
POSITIONS = SIDE // STRIDE
RESIZED = 0.3  # doublings at most, of the size of cells in a view: a scale that is told by red cells is not exact
GAIN, GAMMA = 0.06, 0.15  # standard deviations of the logarithm of each channel's light, and of the contrast
LUMINANCE = np.array((0.299, 0.587, 0.114))


class LearnedField(NamedTuple):
    """A field that a detector learns from."""

    marks: Marks
    group: str
    image: FieldImage
    look: Survey


class Window(NamedTuple):
    """A part of a view of a field, and what is to be said of it."""

    pixels: UInt8[np.ndarray, 'side side 3']
    heat: Heat
    sides: Float[np.ndarray, 'rows columns']  # 1 where the sides of boxes are learned
    seen: Float[np.ndarray, 'rows columns']  # 1 where there is picture


def of_view(field: LearnedField, generator: np.random.Generator, gray: float) -> Iterator[Window]:
    """The windows of one view of a field, which lie side by side; a share `gray` of the views has no color."""
    assert field.marks.boxes is not None
    factor = CELL_PIXELS / field.look.scale.cell_pixels * 2 ** generator.uniform(-RESIZED, RESIZED)
    turned, right, down = generator.random(3) < 0.5
    gains = np.exp(generator.normal(0, GAIN, 3)) * np.exp(generator.normal(0, GAIN))
    gamma, colorless = np.exp(generator.normal(0, GAMMA)), generator.random() < gray
    side = SIDE / factor
    starts = [_starts(length, side, generator) for length in (field.image.width, field.image.height)]
    for top in starts[1]:
        for left in starts[0]:
            pixels, seen = _cut(field.image, left, top, factor)
            boxes = (field.marks.boxes - np.array([left, top, 0, 0])) * factor
            for axis, mirrored in ((1, right), (0, down)):
                if mirrored:
                    pixels, seen, boxes = np.flip(pixels, axis), np.flip(seen, axis), _mirrored(boxes, 1 - axis)
            if turned:
                pixels, seen, boxes = pixels.swapaxes(0, 1), seen.T, boxes[:, [1, 0, 3, 2]]
            heat, sides = detector_windows.targets(boxes, POSITIONS, POSITIONS)
            yield Window(_relit(pixels, gains, gamma, colorless=colorless), heat, sides, seen)


def _starts(length: int, side: float, generator: np.random.Generator) -> list[float]:
    """The beginnings of windows along a side of a field: anywhere, so that all of it is in one of them."""
    if length <= side:
        return [-generator.uniform(0, side - length)]
    return np.arange(-generator.uniform(0, 0.5) * side, length - 0.1 * side, side).tolist()


def _cut(
    image: FieldImage, left: float, top: float, factor: float
) -> tuple[UInt8[np.ndarray, 'side side 3'], Float[np.ndarray, 'rows columns']]:
    """A window of a field, filled up beyond its border, and where there is picture in it."""
    side = SIDE / factor
    first = [max(0, int(np.floor(start))) for start in (left, top)]
    last = [
        min(length, int(np.ceil(start + side)))
        for start, length in zip((left, top), (image.width, image.height), strict=True)
    ]
    part = image.window(first[0], first[1], last[0] - first[0], last[1] - first[1])
    before = [
        round((begin - start) * factor) if begin > start else 0 for start, begin in zip((left, top), first, strict=True)
    ]
    size = [
        min(SIDE - place, max(1, round((end - begin) * factor)))
        for place, begin, end in zip(before, first, last, strict=True)
    ]
    resized = np.asarray(Image.fromarray(part).resize((size[0], size[1]), Image.Resampling.BILINEAR))
    fill = [(before[axis], SIDE - before[axis] - size[axis]) for axis in (1, 0)]
    seen = np.pad(np.ones((size[1], size[0]), np.float32), fill)
    return (
        np.pad(resized, (*fill, (0, 0)), 'edge'),
        seen.reshape(POSITIONS, STRIDE, POSITIONS, STRIDE).min((1, 3)),
    )


def _mirrored(boxes: Boxes, axis: int) -> Boxes:
    mirrored = boxes.copy()
    mirrored[:, axis] = SIDE - boxes[:, axis] - boxes[:, axis + 2]
    return mirrored


def _relit(
    pixels: UInt8[np.ndarray, 'side side 3'], gains: Float[np.ndarray, '3'], gamma: float, *, colorless: bool
) -> UInt8[np.ndarray, 'side side 3']:
    light = (pixels / 255.0) ** gamma * gains
    if colorless:
        light = np.repeat((light @ LUMINANCE)[..., None], 3, -1)
    return np.clip(np.rint(255 * light), 0, 255).astype(np.uint8)
