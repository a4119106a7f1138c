"""The white cells of fields, looked for by all cores; a field that cannot be read or searched says why."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

import joblib
from joblib.externals.loky import get_reusable_executor

from alljax.data.picture import ImageError
from alljax.errors import UserError
from alljax.fields import field_image, tiles, white_cells
from alljax.fields.boxes import Boxes
from alljax.fields.finder import Finder
from alljax.fields.white_cells import Found
from alljax.storage import progress_bar

NONE = white_cells.none()
MEMORY = 'needs more memory than there is; save it as a tiled TIFF, or crop it'


class SearchedField(NamedTuple):
    """A field in which white cells were looked for; with an `error`, one that could not be read or searched."""

    path: Path
    name: str  # short, and no other field's
    size: tuple[int, int] = (0, 0)  # width, height
    found: Found = NONE
    cell_pixels: float = 0.0  # the diameter of a white cell
    scale: str = ''  # where that comes from, in words
    notes: tuple[str, ...] = ()
    error: str = ''

    @property
    def boxes(self) -> Boxes:
        """Left, top, width and height of each cell."""
        return self.found.boxes


@contextmanager
def begun(
    files: Sequence[Path], cell_pixels: float | None, finder: Finder | None = None
) -> Iterator[Iterator[SearchedField]]:
    """Every file as a searched field, as they come; processes begin to search at once, and end with the `with`.

    `cell_pixels` is the diameter of a white cell in the fields; None to estimate it in each. `finder` looks for the
    cells, by default by their colors, and does so in this process.
    """
    fields = [SearchedField(path, name) for path, name in zip(files, _names(files), strict=True)]
    workers = min(joblib.cpu_count(), len(fields))
    if finder or joblib.cpu_count() == 1 or not workers:
        yield (searched(field, cell_pixels, finder) for field in fields)
        return
    if any(width * height > field_image.KEPT for width, height in filter(None, map(field_image.size_by_head, files))):
        workers = 1  # such a field takes gigabytes
    processes = get_reusable_executor(max_workers=workers)
    alone = len(fields) == 1
    futures: list[Future[SearchedField]] = []
    with suppress(BrokenProcessPool):  # `ended` tells
        for field in fields:
            futures.append(processes.submit(_in_process, field, cell_pixels, bars=alone))

    def ended(place: int) -> SearchedField:
        nonlocal processes
        with suppress(BrokenProcessPool, IndexError):
            return futures[place].result()
        processes = get_reusable_executor(max_workers=1)  # killed by this field or another in work: alone it shows
        with suppress(BrokenProcessPool):
            return processes.submit(_in_process, fields[place], cell_pixels, bars=alone).result()
        return fields[place]._replace(error=MEMORY)

    try:
        yield map(ended, range(len(fields)))
    finally:
        processes.shutdown(kill_workers=True)


def all_of(fields: Iterable[SearchedField], count: int, tell: Callable[[SearchedField], object]) -> list[SearchedField]:
    """All of `count` fields that `begun` gives; `tell` hears of each as soon as it is searched.

    UserError if not one could be searched.
    """
    found = []
    for field in progress_bar.each(fields, 'fields', count, ' fields') if count > 1 else fields:
        found.append(field)
        tell(field)
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


def searched(field: SearchedField, cell_pixels: float | None, finder: Finder | None = None) -> SearchedField:
    """A field with the white cells in it, or with the reason why they cannot be looked for."""
    try:
        image = field_image.open_field(field.path)
        field = field._replace(size=(image.width, image.height), notes=tuple(filter(None, [image.note])))
        cells = tiles.find(image, cell_pixels, finder=finder)
    except ImageError as error:
        return field._replace(error=str(error))
    except MemoryError:
        return field._replace(error=MEMORY)
    return field._replace(found=cells.found, cell_pixels=cells.scale.cell_pixels, scale=cells.scale.said())


def _in_process(field: SearchedField, cell_pixels: float | None, *, bars: bool) -> SearchedField:
    with nullcontext() if bars else progress_bar.heard_by(lambda _: None):
        return searched(field, cell_pixels)


def _names(files: Sequence[Path]) -> list[str]:
    """A short name for each file that no other has, which any system takes for a file name."""
    names: list[str] = []
    for path in files:
        stem = re.sub(r'[^\w.+-]', '_', path.stem)[:60] or 'field'
        numbered = (stem if number == 1 else f'{stem}_{number}' for number in range(1, len(files) + 1))
        taken = {name.lower() for name in names}
        names.append(next(name for name in numbered if name.lower() not in taken))
    return names
