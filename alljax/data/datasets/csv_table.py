"""Pictures anywhere on the disk, as a CSV of path,label and, if slides are known, group names them.

config.data.root is the CSV itself. A path is absolute, or relative to the folder that the CSV is in.
"""

import os
from pathlib import Path

from alljax.data.datasets import layout, tables
from alljax.data.datasets.folder import TASK
from alljax.data.datasets.listing import ALONE, NO_TABLE, Dataset, Listing, Record, say_grouping
from alljax.errors import UserError, some

KEY = 'path'
COLUMNS = ('label', 'group')


def list_cells(root: Path, task: str = TASK) -> Listing:
    """The pictures of the table `root`; UserError for a folder, and for a file that is no such table."""
    if root.is_dir():
        raise UserError(
            f'{root}: is a folder, expected a CSV file with the columns {KEY},label,group; name the file with '
            '--config.data.root, or set --config.data.name=folder'
        )
    problems: list[str] = []
    rows = tables.read(root, COLUMNS, problems, key=KEY)
    if not rows:
        raise UserError(*(problems or [f'{root}: has no line below its header; expected {KEY},label,group']))
    home = root.parent
    listing = Listing('csv', home, (), greyscale=True, group_table=root.name, reads_groups=False)
    listing.problems += problems
    unlabeled = [path for path, row in rows.items() if not row.get('label')]
    if unlabeled:
        listing.problems.append(f'{root}: {some(unlabeled, 4)} without a label; add it, or delete the line')
    on_disk = {path: _on_disk(home, path) for path in rows}
    absent = [path for path, file in on_disk.items() if file is None]
    if absent:
        listing.problems.append(
            f'{root}: {some(absent, 4)} {"is" if len(absent) == 1 else "are"} not on the disk; fix the path, which is '
            f'relative to {home} unless it is absolute'
        )
    for path, row in rows.items():
        if (file := on_disk[path]) is not None and row.get('label'):
            listing.records.append(Record(file, row['label'], row.get('group') or tables.normal(file)))
    places: dict[Path, list[str]] = {}
    for record in listing.records:
        places.setdefault((home / record.file).resolve(), []).append(record.file)
    listing.problems += [
        f'{root}: {" and ".join(same)} are the same file; keep one line' for same in places.values() if len(same) > 1
    ]
    say_grouping(listing, (), NO_TABLE)
    if listing.grouping == 'unknown':
        listing.notes.append(f'{root.name} names no groups: {ALONE}, so cells of one slide may be on both sides')
    listing.classes = tuple(sorted({record.label for record in listing.records}))
    listing.problems += layout.twins(root, listing.classes, root.name)
    if len(listing.classes) == 1 and not listing.problems:
        listing.problems.append(f'{root}: holds one class only ({listing.classes[0]}); expected at least two')
    return listing


def recognize(root: Path) -> str:
    """'classes' for a CSV file with the columns path and label; '' for any other file or folder."""
    if not root.is_file() or root.suffix.lower() not in tables.SPREADSHEETS:
        return ''
    found = tables.lines(root, [])
    return TASK if found and {KEY, 'label'} <= set(found.names) else ''


def _on_disk(home: Path, path: str) -> str | None:
    """The name of a file as it is on the disk, relative to `home` or absolute; None if there is none."""
    path = os.path.expanduser(path)
    return path if (home / path).is_file() else None


DATASET = Dataset(
    list_cells, {TASK: ()}, recognize=recognize, layout='a file of path,label,group', general=True, file_as_root=True
)
