"""The white cells of fields, looked for one field at a time; one that cannot be read or searched says why."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from alljax.data.picture import ImageError
from alljax.errors import UserError
from alljax.fields import field_image, tiles
from alljax.fields.field_image import Opened
from alljax.fields.finder import Finder
from alljax.smear.found_cells import SearchedField
from alljax.storage import progress_bar


def fields(
    files: Sequence[Path],
    cell_pixels: float | None,
    tell: Callable[[SearchedField], object],
    opened: Opened = field_image.open_field,
    finder: Finder | None = None,
) -> list[SearchedField]:
    """Every file as a searched field; `tell` hears of each as soon as it is searched.

    `cell_pixels` is the diameter of a white cell in the fields; None to estimate it in each. `finder` looks for the
    cells, by default by their colors. UserError if not one could be searched.
    """
    found = []
    for path, name in progress_bar.each(zip(files, _names(files), strict=True), 'fields', len(files), ' fields'):
        found.append(_searched(path, name, cell_pixels, opened, finder))
        tell(found[-1])
    if all(field.error for field in found):
        raise UserError('none of the fields can be searched for white cells; what is said above names the reasons')
    return found


def line(field: SearchedField) -> str:
    """A sentence on what was found in a field, or why nothing was looked for."""
    if field.error:
        return f'{field.path}: error: {field.error}'
    notes = ''.join(f' ({note})' for note in field.notes)
    count = len(field.boxes)
    return f'{field.path}: {count} white {"cell" if count == 1 else "cells"}; {field.scale}{notes}'


def _searched(path: Path, name: str, cell_pixels: float | None, opened: Opened, finder: Finder | None) -> SearchedField:
    field = SearchedField(path, name)
    try:
        image = opened(path)
        field = field._replace(size=(image.width, image.height), notes=tuple(filter(None, [image.note])))
        cells = tiles.find(image, cell_pixels, finder=finder)
    except ImageError as error:
        return field._replace(error=str(error))
    except MemoryError:
        return field._replace(error='needs more memory than there is; save it as a tiled TIFF, or crop it')
    return field._replace(found=cells.found, cell_pixels=cells.scale.cell_pixels, scale=cells.scale.said())


def _names(files: Sequence[Path]) -> list[str]:
    """A short name for each file that no other has, which any system takes for a file name."""
    names: list[str] = []
    for path in files:
        stem = re.sub(r'[^\w.+-]', '_', path.stem)[:60] or 'field'
        numbered = (stem if number == 1 else f'{stem}_{number}' for number in range(1, len(files) + 1))
        taken = {name.lower() for name in names}
        names.append(next(name for name in numbered if name.lower() not in taken))
    return names
