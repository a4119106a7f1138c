"""A picture without what is around its cell: painted over, blurred, or cut off."""

from collections.abc import Sequence

import numpy as np
import scipy
from jaxtyping import Bool, UInt8

from alljax.data.image import RgbImage

PARTS = ('cell', 'nucleus')
FILLS = ('white', 'blur')
PAPER_WHITE = 255  # the white of a cell that was cut out, which the classical systems know as no picture
BLUR = 1 / 20  # of the side: the standard deviation of a blur that leaves light and color, and no neighbor's shape

Mask = Bool[np.ndarray, 'height width']


def without_surroundings(image: RgbImage, kept: Mask, fill: str) -> RgbImage:
    """The picture with all pixels outside a mask white (255), or blurred; the very same where the mask is empty.

    The blur is of the surroundings alone, so that no color of the cell runs into them.
    """
    if not kept.any():
        return image
    if fill == 'white':
        return np.where(kept[..., None], image, np.uint8(PAPER_WHITE))
    weight = (~kept).astype(np.float32)
    deviation = BLUR * max(kept.shape)
    near = scipy.ndimage.gaussian_filter(weight, deviation)[..., None]
    around = scipy.ndimage.gaussian_filter(image * weight[..., None], (deviation, deviation, 0))
    blurred = np.divide(around, near, out=image.astype(np.float32), where=near > 1e-6)
    return np.where(kept[..., None], image, np.clip(np.rint(blurred), 0, 255).astype(np.uint8))


def middle(mask: Mask) -> tuple[int, int]:
    """The median row and column of a mask, which a neighbor that hangs on to it hardly moves.

    Those of the picture where the mask is empty.
    """
    if not mask.any():
        return mask.shape[0] // 2, mask.shape[1] // 2
    row, column = (int(np.median(places)) for places in np.nonzero(mask))
    return row, column


def cropped(image: RgbImage, center: Sequence[int], side: int) -> UInt8[np.ndarray, '{side} {side} 3']:
    """The square of `side` pixels around a row and column; beyond the border the picture is mirrored."""
    begin = [place - side // 2 for place in center]
    pad = [
        (max(0, -first), max(0, first + side - length)) for first, length in zip(begin, image.shape[:2], strict=True)
    ]
    padded = np.pad(image, (*pad, (0, 0)), mode='symmetric')
    row, column = (first + before for first, (before, _) in zip(begin, pad, strict=True))
    return padded[row : row + side, column : column + side]
