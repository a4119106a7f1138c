"""Fields at the one scale that a detector sees, what it is to say of them, and what it says as cells."""

import math
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float, Real, UInt8
from PIL import Image

from alljax.fields.boxes import Boxes, iou
from alljax.fields.detector_network import STRIDE
from alljax.fields.white_cells import Found, none

CELL_PIXELS = 40.0  # diameter of a white cell in what the network sees: five positions of its map
SPREAD = 1 / 6  # standard deviation of a middle, as a part of the box's sides
INSIDE = 0.2  # height of a middle from which on its sides are learned
SAME = 0.4  # intersection over union of two boxes of one cell

RgbImage = UInt8[np.ndarray, 'height width 3']
Heat = Float[np.ndarray, 'rows columns 5']


class Scaled(NamedTuple):
    """A part of a picture at the scale of the network, filled up to whole positions of its map."""

    pixels: RgbImage
    left: int  # of its first pixel, at that scale: a multiple of STRIDE, so that tiles have their positions in common
    top: int
    width: int  # of what is picture
    height: int


def scaled(pixels: Real[np.ndarray, 'height width 3'], factor: float, left: float = 0, top: float = 0) -> Scaled:
    """A picture resized by `factor`; its first pixel is at (left, top) of a larger one, in its own pixels."""
    height, width = pixels.shape[:2]
    first = [STRIDE * math.ceil(start * factor / STRIDE - 1e-6) for start in (left, top)]
    size = [
        max(1, math.floor((start + side) * factor + 1e-6) - begin)
        for start, side, begin in zip((left, top), (width, height), first, strict=True)
    ]
    box = [begin / factor - start for start, begin in zip((left, top), first, strict=True)]
    box += [min(side, begin + length / factor) for side, begin, length in zip((width, height), box, size, strict=True)]
    picture = Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
    resized = np.asarray(
        picture.resize((size[0], size[1]), Image.Resampling.BILINEAR, (box[0], box[1], box[2], box[3]))
    )
    fill = [(0, -side % STRIDE) for side in resized.shape[:2]]
    return Scaled(np.pad(resized, (*fill, (0, 0)), 'edge'), first[0], first[1], size[0], size[1])


def targets(boxes: Boxes, rows: int, columns: int) -> tuple[Heat, Float[np.ndarray, 'rows columns']]:
    """The map of so many positions that says boxes, in its pixels; and 1 where the sides are learned.

    A middle is 1 at the position nearest to it and falls off as a Gaussian; sides are in diameters of a white cell.
    """
    heat, near = np.zeros((rows, columns, 5), np.float32), np.zeros((rows, columns))
    x, y = ((np.arange(count) + 0.5) * STRIDE for count in (columns, rows))
    for left, top, width, height in boxes:
        across, down = left + width / 2, top + height / 2
        column, row = int(across // STRIDE), int(down // STRIDE)
        if not (0 <= column < columns and 0 <= row < rows):
            continue
        spread = [max(STRIDE / 2, SPREAD * side) for side in (width, height)]
        here = np.exp(-(((x[None] - x[column]) / spread[0]) ** 2 + ((y[:, None] - y[row]) / spread[1]) ** 2) / 2)
        own = here > near
        near = np.maximum(near, here)
        sides = np.broadcast_arrays(x[None] - left, y[:, None] - top, left + width - x[None], top + height - y[:, None])
        heat[own, 1:] = (np.stack(sides, -1) / CELL_PIXELS).clip(0)[own]
    heat[..., 0] = near
    return heat, (near > INSIDE).astype(np.float32)


def cells(said: Heat, least: float, width: int, height: int) -> Found:
    """The cells that a map says, in its pixels, each middle at least as likely as `least`; boxes end with the picture.

    `said` has chances of a middle, no logits.
    """
    chance = said[..., 0]
    peaks = (chance == scipy.ndimage.maximum_filter(chance, 3)) & (chance >= least)
    rows, columns = np.nonzero(peaks)
    if not len(rows):
        return none()
    x, y = (columns + 0.5) * STRIDE, (rows + 0.5) * STRIDE
    left, top, right, bottom = (CELL_PIXELS * said[rows, columns, 1:]).T
    corners = np.stack([x - left, y - top, x + right, y + bottom], 1)
    corners = np.clip(corners, 0, [width, height, width, height])
    boxes = np.concatenate([corners[:, :2], np.maximum(corners[:, 2:] - corners[:, :2], 1)], 1)
    found = Found(
        boxes[:, :2] + boxes[:, 2:] / 2, boxes, boxes.prod(1, where=[False, False, True, True]), chance[peaks]
    )
    kept: list[int] = []
    for place in np.argsort(-found.confidences, kind='stable').tolist():
        if not kept or iou(boxes[kept], boxes[place : place + 1]).max() < SAME:
            kept.append(place)
    return found.take(np.array(sorted(kept), int))
