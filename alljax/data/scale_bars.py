"""Scale bars that a microscope's program drew over a picture, covered by the color around them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy
from jaxtyping import Bool

from alljax.data import image
from alljax.data.picture import Picture, RgbImage

LONG, FLAT = 0.06, 4.0  # of the picture's longer side, and times its height: the least of a bar
MARGIN = 2  # pixels around a mark, into which compression has spread it
RING = 6  # pixels around that, whose median color covers it
NOTE = 'a scale bar drawn over it was covered'

Mask = Bool[np.ndarray, 'height width']
Box = tuple[slice, slice]


def read(path: Path) -> Picture:
    """A picture file without its scale bar; ImageError as of image.read."""
    picture = image.read(path)
    pixels = covered(picture.pixels)
    if pixels is picture.pixels:
        return picture
    return picture._replace(pixels=pixels, note=', '.join(filter(None, (picture.note, NOTE))))


def covered(pixels: RgbImage) -> RgbImage:
    """The pixels with bars, and the letters within a bar's length of one, in the median color of their surroundings.

    The very same array where no bar is found.
    """
    from alljax.data.audit import overlays  # whose package lists folders, and so imports the data sets

    marks = overlays.drawn(pixels)
    label, _ = scipy.ndimage.label(marks, np.ones((3, 3)))
    boxes = scipy.ndimage.find_objects(label)
    bars = [box for box in boxes if _is_bar(box, max(marks.shape))]
    if not bars:
        return pixels
    result = pixels.copy()
    chosen = [number for number, box in enumerate(boxes, 1) if any(_near(box, bar) for bar in bars)]
    hidden = scipy.ndimage.binary_dilation(np.isin(label, chosen), iterations=MARGIN)
    parts, _ = scipy.ndimage.label(hidden, np.ones((3, 3)))
    for number, box in enumerate(scipy.ndimage.find_objects(parts), 1):
        around = _grown(box, RING, hidden.shape)
        ring = pixels[around][~hidden[around]]
        if len(ring):
            result[box][parts[box] == number] = np.median(ring, axis=0).astype(np.uint8)
    return result


def _is_bar(box: Box, side: int) -> bool:
    height, width = _size(box)
    return max(height, width) >= max(LONG * side, FLAT * min(height, width))


def _near(box: Box, bar: Box) -> bool:
    """True for a mark no further from a bar than the bar is long."""
    length = max(_size(bar))
    return all(
        one.start <= other.stop + length and one.stop >= other.start - length
        for one, other in zip(box, bar, strict=True)
    )


def _size(box: Box) -> tuple[int, int]:
    return box[0].stop - box[0].start, box[1].stop - box[1].start


def _grown(box: Box, by: int, shape: Sequence[int]) -> Box:
    rows, columns = (
        slice(max(axis.start - by, 0), min(axis.stop + by, side)) for axis, side in zip(box, shape, strict=True)
    )
    return rows, columns
