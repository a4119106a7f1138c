"""The folder of an explanation: a picture for each image and method, and scores.csv."""

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

from alljax.data import image
from alljax.data.image_files import Unread
from alljax.errors import UserError
from alljax.explain import overlays
from alljax.explain.measurements import Explained, Where
from alljax.explain.methods import METHODS
from alljax.storage.atomic import write_whole

COLUMNS = ('file', 'prediction', 'target', 'probability', 'method', 'deletion_auc', 'insertion_auc', 'mass_on_cell',
           'area_of_cell', 'points_at_cell', 'mass_on_nucleus', 'area_of_nucleus', 'points_at_nucleus', 'note', 'error',
           )  # fmt: skip


def problem(folder: Path) -> str:
    """The reason why a folder cannot take the pages; '' if it can. Nothing is made yet."""
    try:
        if folder.is_dir():
            return f'--to {folder}: is not empty; name a new folder' if any(folder.iterdir()) else ''
        if folder.exists():
            return f'--to {folder}: is a file; name a new folder'
    except OSError as error:
        return f'--to {folder}: cannot be used ({error.strerror}); name another folder'
    return ''


def make(folder: Path) -> None:
    """Make the folder; UserError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / '.probe'
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f'--to {folder}: cannot be written ({error.strerror}); name another folder') from None


def pictures(folder: Path, number: int, one: Explained) -> None:
    """Write an overlay for each method, named by the number of the image, its file and the method."""
    stem = re.sub(r'[^\w.-]', '_', Path(one.file).stem, flags=re.ASCII)[:60]
    for name, marked in one.marked.items():
        drawn = overlays.overlay(one.rgb, marked.map, METHODS[name].signed)
        write_whole(folder / f'{number:03}-{stem}-{name}.png', image.to_png(drawn))


def scores(folder: Path, cells: Sequence[Explained], unread: Sequence[Unread], classes: tuple[str, ...]) -> None:
    """Write scores.csv, a line for each image and method, then a line for each file that could not be read."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator='\n')
    writer.writerow(COLUMNS)
    for one in cells:
        first = [one.file, classes[one.probabilities.argmax()], classes[one.target],
                 f'{one.probabilities[one.target]:.6f}']  # fmt: skip
        for name, marked in one.marked.items():
            regions = [marked.regions.get(region) for region in ('cell', 'nucleus')]
            numbers = [marked.deletion, marked.insertion, *(value for where in regions for value in _values(where))]
            writer.writerow([*first, name, *map(_number, numbers), one.note, ''])
    writer.writerows([file.path, *[''] * (len(COLUMNS) - 2), file.error] for file in unread)
    # a file name that is not UTF-8 reaches us with surrogates, which no file can hold
    write_whole(folder / 'scores.csv', stream.getvalue().encode(errors='backslashreplace'))


def _values(where: Where | None) -> tuple[float, ...]:
    return (math.nan,) * 3 if where is None else where


def _number(value: float) -> str:
    return '' if math.isnan(value) else f'{value:.4f}'
