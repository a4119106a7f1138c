"""More than 8 bits a channel brought to 8, by the bits that are used, where that can be known."""

import numpy as np
from jaxtyping import UInt8, UInt16

from alljax.data.picture import ImageError

DEPTHS = (8, 9, 10, 11, 12, 13, 14, 15)  # bits that cameras and programs use, stored in 16
CLIPPED = 1e-3  # of the values: as many stand at the top of the range where light was too much for the camera
LEAST_USED = 0.5  # of the range: a smear in transmitted light is brighter than that somewhere; below, a bit is unused


def to_8_bits(
    values: UInt16[np.ndarray, 'height width channels'], stored: int, declared: int | None
) -> tuple[UInt8[np.ndarray, 'height width channels'], str]:
    """The values in 8 bits, of the highest bits that are used, and the note on it.

    `stored` is the number of bits a value has in the file, `declared` the number that the file says are used, None if
    it says nothing. ImageError if that cannot be decided: a guess from the brightest pixel would tell 12 bits from 14
    differently for each file of a folder.
    """
    if stored == 8:
        return values.astype(np.uint8), ''
    used = used_bits(values, stored, declared)
    reduced = (values >> (used - 8) if used > 8 else values).astype(np.uint8)
    if used == stored:
        return reduced, f'{stored} bits a channel were reduced to 8'
    return reduced, f'only {used} of {stored} bits a channel are used; they were brought to 8'


def used_bits(values: UInt16[np.ndarray, 'height width channels'], stored: int, declared: int | None) -> int:
    """The number of bits whose highest value is white: those declared, all, or those at whose end values pile up."""
    most = int(values.max())
    if declared is not None and 8 <= declared < stored and most < 2**declared:
        return declared
    if most >= LEAST_USED * 2**stored:
        return stored
    for depth in DEPTHS:
        if depth < stored and most == 2**depth - 1 and np.mean(values == most) >= CLIPPED:
            return depth
    raise ImageError(
        f'has {stored} bits a channel but is dark in them: no value is above {most} of {2**stored - 1}, and the file '
        'does not say how many bits are used; scale it to 8 bits a channel'
    )


def depth_of_maximum(most: int) -> int | None:
    """The number of bits of a declared highest value: of 4095 12; None for one that is no end of a range.

    TIFF's MaxSampleValue may also be the brightest value of the one picture, which says nothing of the camera.
    """
    return most.bit_length() if most > 0 and (most + 1).bit_count() == 1 else None
