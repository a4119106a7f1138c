"""Scale bars, letters and frames that a program drew over a picture: hard edges around one color.

Optics and demosaicing blur what is photographed over two pixels or more; what is drawn afterwards has its color up to
the last pixel, also after JPEG.
"""

import numpy as np
import scipy
from jaxtyping import Bool, Float64, UInt8

from alljax.data.picture import RgbImage

DARK, BRIGHT, COLORFUL = 40, 225, 180  # largest channel, smallest channel, and their distance, of ink
FLAT = 6  # range in the 3 by 3 neighborhood of a pixel within a bar of any color
STEPS = (24, 48)  # between neighbors at the edge of a bar of any color, and of ink
SHARP = 0.6  # the share of a mark's edge that has to be such a step
LEAST_INK, LEAST_FLAT = 8, 24  # pixels of a mark
FRAME = 0.01  # of the picture: what is larger and reaches its border is a background, not a mark

Mask = Bool[np.ndarray, 'height width']
Channels = UInt8[np.ndarray, '3 _ _']
Values = UInt8[np.ndarray, '... height width'] | Bool[np.ndarray, 'height width']


def measure(pixels: RgbImage) -> Float64[np.ndarray, '3']:
    """Logarithms of the pixels and the number of marks drawn, and the longest as a share of the side; 0 without any."""
    marks = drawn(pixels)
    if not marks.any():
        return np.zeros(3)
    label, count = scipy.ndimage.label(marks, np.ones((3, 3)))
    boxes = scipy.ndimage.find_objects(label)
    longest = max(max(axis.stop - axis.start for axis in box) for box in boxes)
    return np.array([np.log1p(marks.sum()), np.log1p(count), longest / max(marks.shape)])


def drawn(pixels: RgbImage) -> Mask:
    """The pixels of bars, letters and lines that were drawn over a picture."""
    channels = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    low, high = channels.min(0), channels.max(0)
    across, down = _step(channels[..., :-1], channels[..., 1:]), _step(channels[:, :-1], channels[:, 1:])
    spread = (_around(channels, np.maximum) - _around(channels, np.minimum)).max(0)
    flat = _around(spread <= FLAT, np.maximum)
    found = _with_hard_edges(flat, across >= STEPS[0], down >= STEPS[0], LEAST_FLAT)
    colorful = high - low >= COLORFUL
    strongest = channels.argmax(0) if colorful.any() else low
    for ink in (high <= DARK, low >= BRIGHT, *(colorful & (strongest == channel) for channel in range(3))):
        found |= _with_hard_edges(ink, across >= STEPS[1], down >= STEPS[1], LEAST_INK)
    return found


def _step(first: Channels, second: Channels) -> UInt8[np.ndarray, '_ _']:
    """The largest distance of two pictures' channels."""
    return (np.maximum(first, second) - np.minimum(first, second)).max(0)


def _around(values: Values, chosen: np.ufunc) -> Values:
    """The largest, or the smallest, in the 3 by 3 neighborhood of each pixel."""
    rows = values.copy()
    chosen(rows[..., 1:, :], values[..., :-1, :], out=rows[..., 1:, :])
    chosen(rows[..., :-1, :], values[..., 1:, :], out=rows[..., :-1, :])
    found = rows.copy()
    chosen(found[..., 1:], rows[..., :-1], out=found[..., 1:])
    chosen(found[..., :-1], rows[..., 1:], out=found[..., :-1])
    return found


def _with_hard_edges(mask: Mask, across: np.ndarray, down: np.ndarray, least: int) -> Mask:
    """The connected parts of a mask that are large enough, no background, and bounded by steps."""
    if np.count_nonzero(mask) < least or not (across.any() or down.any()):
        return np.zeros_like(mask)
    label, count = scipy.ndimage.label(mask, np.ones((3, 3)))
    edges, hard = np.zeros((2, count + 1))
    for first, second, step in ((label[:, :-1], label[:, 1:], across), (label[:-1], label[1:], down)):
        boundary = first != second
        for side in (first, second):
            edges += np.bincount(side[boundary], minlength=count + 1)
            hard += np.bincount(side[boundary & step], minlength=count + 1)
    size = np.bincount(label.ravel(), minlength=count + 1)
    at_border = np.zeros(count + 1, bool)
    at_border[np.concatenate([label[0], label[-1], label[:, 0], label[:, -1]])] = True
    chosen = (size >= least) & (hard >= SHARP * np.maximum(edges, 1)) & ~(at_border & (size > FRAME * mask.size))
    chosen[0] = False
    return chosen[label]
