"""TIFF files of more than 8 bits a channel, and those that must be refused for what they are; Pillow reads the rest."""

import logging
import re
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from jaxtyping import UInt16

from alljax.data.bit_depth import depth_of_maximum
from alljax.data.picture import ImageError, expect_size

SIGNATURES = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')  # the last two are BigTIFF's
GREY = (0, 1)  # PhotometricInterpretation: white is zero, black is zero
RGB, PALETTE, SEPARATED, YCBCR = 2, 3, 5, 6
OTHERS = {4: 'a mask', 8: 'CIE L*a*b*', 9: 'CIE L*a*b*', 10: 'CIE L*a*b*', 32803: 'raw camera data',
          34892: 'raw camera data', 32844: 'CIE LogL', 32845: 'CIE LogLuv'}  # fmt: skip
PILLOWS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)  # compressions that every build of Pillow reads
OLD_JPEG, JPEG = 6, 7
UNSIGNED = 1
NUMBERS = {1: 'uint', 2: 'int', 3: 'float', 4: 'uint', 5: 'complex int', 6: 'complex'}  # SampleFormat; 4 is 'undefined'
OPAQUE = (1, 2)  # ExtraSamples: alpha, with the colors multiplied by it or not

logging.getLogger('tifffile').setLevel(logging.CRITICAL)  # what it finds is told as an error, by file


class Samples(NamedTuple):
    """The values of an image before they are brought to 8 bits."""

    values: UInt16[np.ndarray, 'height width channels']  # red, green, blue, then what is beside them
    stored: int  # bits of a value in the file
    declared: int | None  # bits that the file says are used
    alpha: bool  # the fourth channel is opacity
    orientation: int  # EXIF's, 1 to 8


class Tiff(NamedTuple):
    """A TIFF file: its samples, or a note on it if Pillow is to decode it."""

    samples: Samples | None
    note: str


def read(file: BinaryIO) -> Tiff:
    """The samples of an open file if they are RGB of other than 8 bits; ImageError for what cannot become RGB."""
    import tifffile  # takes as long to load as all of Pillow, and most pictures are none of its

    file.seek(0)
    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        expect_size(page.imagewidth, page.imagelength)
        if len(tiff.pages) > 1:
            raise ImageError(f'holds {len(tiff.pages)} pages, expected one; save the page with the cell as a file')
        if page.imagedepth > 1:
            raise ImageError(f'holds {page.imagedepth} planes of a stack, expected one; save the plane with the cell')
        bits = _values(page, 258, (1,))
        _refuse_values(page, bits)
        _refuse_colors(page, bits)
        extra = page.samplesperpixel - {RGB: 3, YCBCR: 3, SEPARATED: 4}.get(page.photometric, 1)
        unnamed = max(0, extra - sum(kind in OPAQUE for kind in _values(page, 338, ())))
        note = f'{unnamed} channel{"s" * (unnamed > 1)} beside red, green and blue left out' if unnamed else ''
        unknown_to_pillow = tiff.is_bigtiff and tiff.byteorder == '>'
        if unknown_to_pillow and page.photometric != RGB:
            raise ImageError('is a BigTIFF of big-endian numbers, and not RGB; save it as 24-bit RGB')
        by_pillow = page.photometric != RGB or (bits[0] == 8 and page.compression in PILLOWS and not unknown_to_pillow)
        return Tiff(None if by_pillow else _samples(page, bits), note)


def _refuse_values(page: Any, bits: tuple[int, ...]) -> None:
    """ImageError for values that are no unsigned whole numbers of at most 16 bits, and for grey ones of more than 8."""
    kind = NUMBERS.get(_values(page, 339, (UNSIGNED,))[0], 'unknown')
    if kind != 'uint' or max(bits) > 16:
        raise ImageError(
            f'holds {kind}{max(bits)} values, expected 8 or 16 unsigned bits a channel; scale it to 8 bits and save it '
            'as 24-bit RGB'
        )
    if page.photometric in GREY and max(bits) > 8:
        raise ImageError(f'is greyscale with {max(bits)} bits a pixel, expected 24-bit RGB; export it again in color')
    if len(set(bits)) > 1:
        raise ImageError(f'has channels of {", ".join(map(str, bits))} bits, expected 8 each; save it as 24-bit RGB')


def _refuse_colors(page: Any, bits: tuple[int, ...]) -> None:
    """ImageError for colors that are not red, green and blue, nor anything that is converted to them rightly."""
    if page.photometric in OTHERS:
        raise ImageError(f'holds {OTHERS[page.photometric]}, expected RGB; convert it and save it as 24-bit RGB')
    if page.photometric not in (*GREY, RGB, PALETTE, SEPARATED, YCBCR):
        raise ImageError(f'has colors of an unknown kind ({page.photometric}), expected RGB; save it as 24-bit RGB')
    named = {SEPARATED: 'CMYK', YCBCR: 'YCbCr'}.get(page.photometric, '')
    if named and bits[0] != 8 and (page.planarconfig == 2 or named == 'YCbCr'):
        raise ImageError(f'is {named} of {bits[0]} bits a channel, expected RGB; save it as 24-bit RGB')
    if named == 'YCbCr' and page.compression not in (OLD_JPEG, JPEG) and _values(page, 530, (2, 2)) != (1, 1):
        raise ImageError('is YCbCr with coarser colors and no JPEG, expected RGB; save it as 24-bit RGB')
    if page.photometric == PALETTE and 0 < max(_values(page, 320, (0,))) < 256:
        raise ImageError('has a palette of 8-bit colors, where TIFF has 16; save it as 24-bit RGB')
    if page.photometric in GREY and page.samplesperpixel > 2:
        raise ImageError(
            f'holds {page.samplesperpixel} channels that it calls grey; save it as 24-bit RGB if they are its colors'
        )


def _samples(page: Any, bits: tuple[int, ...]) -> Samples:
    size = page.parent.filehandle.size
    whole = all(
        count > 0 and start + count <= size for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)
    )
    if not whole or not page.dataoffsets:
        raise ImageError('is damaged or truncated (pixels are missing); replace it by an intact copy')
    values = page.asarray(maxworkers=1)
    if page.planarconfig == 2:
        values = np.moveaxis(values, 0, -1)
    stored = bits[0]
    if stored < 8:  # a few levels of each color: all of them are far apart in 8 bits as well
        values, stored = np.round(values * (255 / (2**stored - 1))), 8
    return Samples(
        np.ascontiguousarray(values[..., :4], np.uint16),
        stored,
        _declared_bits(page),
        _values(page, 338, (0,))[0] in OPAQUE,
        int(_values(page, 274, (1,))[0]),
    )


def _declared_bits(page: Any) -> int | None:
    """The used bits that the file says it has: by OME's SignificantBits, or by a MaxSampleValue that ends a range."""
    found = re.search(r'\bSignificantBits="([0-9]{1,2})"', str(page.description))
    if found:
        return int(found[1])
    return depth_of_maximum(int(max(_values(page, 281, (0,)))))


def _values(page: Any, tag: int, default: tuple[int, ...]) -> tuple[int, ...]:
    found = page.tags.get(tag)
    if found is None:
        return default
    value = found.value
    return tuple(int(v) for v in np.ravel(value)) if not isinstance(value, (str, bytes)) else default
