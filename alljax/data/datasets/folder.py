"""Any folder whose subfolders are classes, with an optional cells.csv (file,label,group) and an audit's groups.csv."""

from collections.abc import Iterator
from pathlib import Path

from alljax.data import image
from alljax.data.datasets.listing import GROUPS_CSV, Dataset, Listing, Record, apply_groups, read_table, visible
from alljax.errors import UserError, some

CELLS_CSV = 'cells.csv'
TASK = 'classes'


def list_cells(root: Path, task: str = TASK) -> Listing:
    """The images in the class folders of `root`, whose names are the classes; UserError if there are none."""
    listing = Listing('folder', root, (), greyscale=True, group_table=CELLS_CSV)
    ignored = []
    for folder, path in _files(root):
        file = path.relative_to(root).as_posix()
        if path.suffix.lower() in image.SUFFIXES:
            listing.records.append(Record(file, folder.name, file))
        else:
            ignored.append(file)
    if not listing.records:
        found = some([p.name for p in visible(root)], 4) or 'nothing'
        raise UserError(
            f'{root}: holds {found}, expected one folder of images for each class; correct --config.data.root'
        )
    if ignored:
        listing.notes.append(
            f'{some(ignored, 4)}: no images, so they are left out; move them away to be rid of this note'
        )
    if (root / CELLS_CSV).is_file():
        _apply_table(listing, root / CELLS_CSV)
    if (root / GROUPS_CSV).is_file():
        apply_groups(listing, root / GROUPS_CSV)
    elif not (root / CELLS_CSV).is_file():
        listing.notes.append(
            f'no {CELLS_CSV}: each cell is a group of its own, so cells of one slide may be on both sides'
        )
    listing.classes = tuple(sorted({record.label for record in listing.records}))
    if len(listing.classes) == 1:
        listing.problems.append(
            f'{root}: holds one class only ({listing.classes[0]}); expected at least two, or ALL-IDB2 with its own '
            'file names (img/Im001_1.tif)'
        )
    return listing


def recognize(root: Path) -> str:
    """'classes' for a folder with images in subfolders, '' for any other folder."""
    return TASK if any(path.suffix.lower() in image.SUFFIXES for _, path in _files(root)) else ''


def _files(root: Path) -> Iterator[tuple[Path, Path]]:
    """Each class folder with each of its files, however deep, in order."""
    for folder in (p for p in visible(root) if p.is_dir()):
        for path in sorted(p for p in folder.rglob('*') if p.is_file() and not p.name.startswith('.')):
            yield folder, path


def _apply_table(listing: Listing, path: Path) -> None:
    """Labels and groups from cells.csv, whose lines and the images have to be the same set."""
    rows = read_table(path, ('label', 'group'), listing.problems)
    if not rows:
        return
    files = {record.file for record in listing.records}
    missing, unlisted = [file for file in rows if file not in files], [file for file in files if file not in rows]
    if missing:
        listing.problems.append(
            f'{CELLS_CSV}: {some(missing, 4)} named there but not in the folder; fix or delete the lines'
        )
    if unlisted:
        listing.problems.append(
            f'{CELLS_CSV}: {some(sorted(unlisted), 4)} in the folder but not named there; add the lines'
        )
    folders = {record.label for record in listing.records}
    records = []
    for record in listing.records:
        row = rows.get(record.file, {})
        label = row.get('label') or record.label
        if label != record.label and label in folders:
            listing.problems.append(
                f'{CELLS_CSV}: {record.file} is labelled {label} but lies in {record.label}/; move it or fix the line'
            )
        records.append(record._replace(label=label, group=row.get('group') or record.group))
    listing.records = records


DATASET = Dataset(list_cells, tasks={TASK: ()}, version='1.1.0', recognize=recognize)
