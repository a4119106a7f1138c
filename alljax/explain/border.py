"""Maps that ring the border: much more of their weight than chance would put there lies where no cell is."""

import math

import numpy as np
from jaxtyping import Float

RING = 0.1  # of the side, at each of the four sides
MARGIN = 0.15  # share of the weight above that of an even map from which a map is said to ring the border

Map = Float[np.ndarray, 'side side']


def share_in_ring(found: Map) -> float:
    """The share of a map's absolute values in the outer ring; NaN for a map that is zero everywhere."""
    weight = np.abs(found)
    total = float(weight.sum())
    width = _width(len(found))
    return math.nan if not total else 1 - float(weight[width:-width, width:-width].sum()) / total


def even_share(side: int) -> float:
    """The share that an even map has there: that of the area, 36 % for a ring of a tenth of the side."""
    return 1 - ((side - 2 * _width(side)) / side) ** 2


def rings(found: Map) -> bool:
    """True for a map that has more in the ring than an even one, by the margin at least."""
    return share_in_ring(found) >= even_share(len(found)) + MARGIN


def _width(side: int) -> int:
    return max(1, round(RING * side))
