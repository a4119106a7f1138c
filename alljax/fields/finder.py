"""The seam between tiles and what finds white cells in one: the colors of the stain, or a trained detector."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from alljax.fields import light, white_cells
from alljax.fields.survey import Survey
from alljax.fields.white_cells import Found

Averaged = Float[np.ndarray, 'height width 3']  # RGB, 0 to 255


class Finder(NamedTuple):
    """A way to find white cells."""

    find: Callable[[Averaged, Survey, tuple[int, int]], Found]  # in a picture whose first pixel is at (left, top)
    by_color: bool  # a field without color cannot be searched


def by_colors() -> Finder:
    """The white cells as the stain of their nuclei and cytoplasm shows them."""

    def find(pixels: Averaged, look: Survey, origin: tuple[int, int]) -> Found:
        stain = light.density(pixels, look.light, *origin, look.step)
        return white_cells.find(stain, look.diameter, look.levels)

    return Finder(find, by_color=True)
