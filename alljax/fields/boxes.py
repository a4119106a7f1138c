"""Cells in a whole field, by boxes or by centers, in its pixels: x to the right, y down."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Boxes = Float[np.ndarray, 'cells 4']  # left, top, width, height
Centers = Float[np.ndarray, 'cells 2']  # x, y


class Marks(NamedTuple):
    """The cells that are marked in one field; `boxes` is None where only centers were marked."""

    field: str  # its file, relative to the folder that was read
    centers: Centers
    labels: tuple[str, ...]  # '' for a cell without one
    boxes: Boxes | None = None


def centers_of(boxes: Boxes) -> Centers:
    """The middle of each box."""
    return boxes[:, :2] + boxes[:, 2:] / 2


def iou(one: Float[np.ndarray, 'one 4'], other: Float[np.ndarray, 'other 4']) -> Float[np.ndarray, 'one other']:
    """Intersection over union of each box of the one with each of the other; 0 for boxes without area."""
    low = np.maximum(one[:, None, :2], other[None, :, :2])
    high = np.minimum(one[:, None, :2] + one[:, None, 2:], other[None, :, :2] + other[None, :, 2:])
    common = np.prod(np.maximum(high - low, 0), -1)
    areas = np.prod(one[:, 2:], -1)[:, None] + np.prod(other[:, 2:], -1)[None] - common
    return np.divide(common, areas, out=np.zeros_like(common), where=areas > 0)
