"""Any folder whose subfolders are classes, with an optional cells.csv (file,label,group) and an audit's groups.csv."""

from pathlib import Path

from alljax.data import image
from alljax.data.datasets import listing as disk
from alljax.data.datasets.builder import CellsBuilder
from alljax.data.datasets.listing import Listing, Record
from alljax.errors import UserError, some

TABLE, GROUPS = 'cells.csv', 'groups.csv'


class Folder(CellsBuilder):
    """Builds a data set from a folder of class folders."""

    VERSION = '1.1.0'

    @staticmethod
    def list_cells(root: Path, task: str) -> Listing:
        """The cells under `root`; `task` is 'classes', for the folders name them."""
        return list_cells(root)


def list_cells(root: Path) -> Listing:
    """The images in the class folders of `root`; problems are collected, a missing folder is raised."""
    root = disk.folder(root)
    listing = Listing('folder', root, (), greyscale=True)
    ignored = []
    for folder in (p for p in disk.visible(root) if p.is_dir()):
        for path in sorted(p for p in folder.rglob('*') if p.is_file() and not p.name.startswith('.')):
            file = path.relative_to(root).as_posix()
            if path.suffix.lower() not in image.SUFFIXES:
                ignored.append(file)
                continue
            listing.records.append(Record(file, folder.name, file))
    if not listing.records:
        found = some([p.name for p in disk.visible(root)], 4) or 'nothing'
        raise UserError(f'{root}: holds {found}, expected one folder of images for each class; mend --config.data.root')
    if ignored:
        listing.notes.append(
            f'{some(ignored, 4)}: no images, so they are left out; move them away to be rid of this note'
        )
    if (root / TABLE).is_file():
        _table(listing, root / TABLE)
    if (root / GROUPS).is_file():
        disk.with_groups(listing, root / GROUPS)
    elif not (root / TABLE).is_file():
        listing.notes.append(f'no {TABLE}: each cell is a group of its own, so cells of one slide may be on both sides')
    listing.classes = tuple(sorted({record.label for record in listing.records}))
    if len(listing.classes) == 1:
        listing.problems.append(f'{root}: holds one class only ({listing.classes[0]}); expected at least two')
    return listing


def _table(listing: Listing, path: Path) -> None:
    """Labels and groups from cells.csv, whose lines and the images have to be the same set."""
    rows = disk.table(path, ('label', 'group'), listing.problems)
    if not rows:
        return
    files = {record.file for record in listing.records}
    missing, unlisted = [file for file in rows if file not in files], [file for file in files if file not in rows]
    if missing:
        listing.problems.append(
            f'{TABLE}: {some(missing, 4)} named there but not in the folder; mend or delete the lines'
        )
    if unlisted:
        listing.problems.append(
            f'{TABLE}: {some(sorted(unlisted), 4)} in the folder but not named there; add the lines'
        )
    folders = {record.label for record in listing.records}
    records = []
    for record in listing.records:
        row = rows.get(record.file, {})
        label = row.get('label') or record.label
        if label != record.label and label in folders:
            listing.problems.append(
                f'{TABLE}: {record.file} is labelled {label} but lies in {record.label}/; move it or mend the line'
            )
        records.append(record._replace(label=label, group=row.get('group') or record.group))
    listing.records = records
