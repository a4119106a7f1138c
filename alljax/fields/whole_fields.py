"""Pictures that are no single cell but a whole field, told by their size, their nuclei and their red cells."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alljax.data.picture import ImageError
from alljax.errors import some
from alljax.fields import field_image, tiles
from alljax.fields.field_image import FieldImage, size_by_head
from alljax.fields.white_cells import Found

LEAST_SIDE = 400  # pixels of the longer side: crops of one cell are smaller, as a rule, and fields never are
RED_CELLS = 5  # of one size that a field shows at least, and more than white ones
DIAMETERS = 2.8  # of a white cell, as the red cells tell it: a crop is narrower
LOOKED_AT = 8  # large pictures at most, each a second
FIX = 'cut their cells out with alljax crops, or let alljax smear RUN FIELD find and classify them'


def seen_in(field: FieldImage) -> str:
    """The reason why a picture looks like a whole field, in words; '' for one that may be a single cell."""
    longer = max(field.width, field.height)
    if longer < LEAST_SIDE:
        return ''
    try:
        cells = tiles.find(field)
    except ImageError:  # it shows no red cells of one size, or no color
        return ''
    scale = cells.scale
    count = len(cells.found.boxes)
    few = scale.red_cells < RED_CELLS or scale.red_cells < count
    if few or longer < DIAMETERS * scale.cell_pixels or _fills(cells.found, field):
        return ''
    return (
        f'{field.width} × {field.height} pixels, {count} white {"cell" if count == 1 else "cells"} and '
        f'{scale.red_cells} red ones'
    )


def sentence(files: Sequence[Path]) -> str:
    """The sentence about files that look like whole fields, and the commands that fit these; '' where none do.

    Of the large ones, as their heads tell, some are looked at, evenly chosen. A file that cannot be read is passed
    over: who reads it says so.
    """
    large = [file for file in files if max(size_by_head(file) or (0, 0)) >= LEAST_SIDE]
    if not large:
        return ''
    chosen = [large[at] for at in np.unique(np.linspace(0, len(large) - 1, LOOKED_AT).round().astype(int))]
    found = {file.name: reason for file in chosen if (reason := _reason(file))}
    if not found:
        return ''
    first, *others = found
    one, several = 'looks like a whole field, not a single cell', 'look like whole fields, not single cells'
    if len(chosen) == 1:
        return f'{first} {one} ({found[first]}): {FIX}'
    of = f'{len(found)} of {len(chosen)} large pictures that were looked at {several if others else one}'
    also = f'; also {some(others, 3)}' if others else ''
    return f'{of} ({first}: {found[first]}{also}): {FIX}'


def _reason(file: Path) -> str:
    try:
        return seen_in(field_image.open_field(file))
    except (ImageError, OSError, MemoryError):
        return ''


def _fills(found: Found, field: FieldImage) -> bool:
    """True for one cell alone that takes much of the picture: an enlarged crop."""
    return len(found.areas) == 1 and float(found.areas[0]) > field.width * field.height / 8
