"""A decoded picture, and the reasons why a file gives none."""

from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

RgbImage = UInt8[np.ndarray, 'height width 3']

LONGEST = 20_000  # pixels a side: a picture is made square, and a square of more has over a gigabyte
NARROWEST = 16  # times as long as wide: more is a strip, of which most of the square would be mirror images


class Picture(NamedTuple):
    """A decoded image."""

    pixels: UInt8[np.ndarray, 'height width 3']
    note: str  # what was converted, without the file's name; '' if nothing was
    grey: bool  # the file holds no color


class ImageError(ValueError):
    """The reason why a file is no usable image, and the fix, without the file's name."""


def expect_size(width: int, height: int) -> None:
    """ImageError for a picture too large or too narrow to be a cell or a smear; asked before it is decoded."""
    if width * height > (Image.MAX_IMAGE_PIXELS or float('inf')):
        raise ImageError(f'has more pixels than any cell or smear ({width} × {height}); crop it')
    longer, shorter = max(width, height), min(width, height)
    if longer > LONGEST or longer > NARROWEST * shorter:
        raise ImageError(
            f'is {width} × {height} pixels, expected at most {LONGEST} a side and {NARROWEST} times as long as wide; '
            'crop it to the cell'
        )
