"""Which cells a folder holds, whatever its layout: ALL-IDB2, class folders, or images alone."""

from pathlib import Path
from typing import NamedTuple

from alljax.data import image
from alljax.data.datasets import all_idb2, folder, listing
from alljax.data.datasets.listing import Listing, Record
from alljax.errors import UserError, some

TABLE = 'groups.csv'


class Listed(NamedTuple):
    """A folder before any picture is read."""

    home: Path  # where the tables are, and what files are named from
    files: tuple[str, ...]
    labels: tuple[str, ...]  # '' where the folder does not tell
    groups: tuple[str, ...]
    table: Path  # groups.csv, where the loaders look for it first, there or not
    notes: tuple[str, ...]


def listed(root: Path) -> Listed:
    """List a folder as its loader would; UserError if there is none, or nothing to audit in it.

    What a loader would refuse, such as a missing table, is a note here: an audit comes before the mending.
    """
    if not root.is_dir():
        raise UserError(
            f'{root}: {"is a file" if root.exists() else "there is no such folder"}; name a folder of cells'
        )
    root = root.resolve()
    found, table = _all_idb2(root) or (_classes(root), root / TABLE)
    if len(found.records) < 2:
        raise UserError(f'{root}: holds {len(found.records)} images, expected two or more to compare')
    records = sorted(found.records)
    files, labels, groups = zip(*((record.file, record.label, record.group) for record in records), strict=True)
    return Listed(found.root, files, labels, groups, table, tuple(found.problems))


def _all_idb2(root: Path) -> tuple[Listing, Path] | None:
    try:
        home, img = all_idb2.places(root)
    except UserError:
        return None
    if not any(all_idb2.NAME.fullmatch(path.name) for path in img.iterdir()):
        return None
    return all_idb2.list_cells(root, 'detection'), all_idb2.find(TABLE, home, img) or home / TABLE


def _classes(root: Path) -> Listing:
    alone = [path.name for path in listing.visible(root) if path.is_file() and path.suffix.lower() in image.SUFFIXES]
    try:
        found = folder.list_cells(root)
    except UserError:
        found = Listing('folder', root, (), records=[Record(name, '', name) for name in alone])
        if (root / TABLE).is_file():
            listing.with_groups(found, root / TABLE)
        return found
    if alone:
        found.problems.append(
            f'{some(alone, 4)}: lie beside the class folders, so they are left out; move them into one'
        )
    return found
