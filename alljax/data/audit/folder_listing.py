"""The cells that a folder holds, whatever its layout: that of a data set, or images alone."""

from pathlib import Path
from typing import NamedTuple

from alljax.data import image
from alljax.data.datasets import DATASETS
from alljax.data.datasets.listing import GROUPS_CSV, Listing, Record, apply_groups, visible
from alljax.errors import UserError, some


class FolderListing(NamedTuple):
    """A folder before any picture is read."""

    home: Path  # where the tables are, and what files are named from
    files: tuple[str, ...]
    labels: tuple[str, ...]  # '' where the folder does not tell
    groups: tuple[str, ...]
    groups_csv: Path  # where the loaders look for it first, there or not
    notes: tuple[str, ...]


def list_folder(root: Path) -> FolderListing:
    """A folder as the loader of its data set lists it; UserError if there is none, or nothing to audit in it.

    What a loader would refuse, such as a missing table, is a note here: an audit comes before the corrections.
    """
    if not root.is_dir():
        raise UserError(
            f'{root}: {"is a file" if root.exists() else "there is no such folder"}; name a folder of cells'
        )
    root = root.resolve()
    found = _of_a_data_set(root) or _images_alone(root)
    if len(found.records) < 2:
        raise UserError(f'{root}: holds {len(found.records)} images, expected two or more to compare')
    records = sorted(found.records)
    files, labels, groups = zip(*((record.file, record.label, record.group) for record in records), strict=True)
    table = found.groups_csv or found.root / GROUPS_CSV
    return FolderListing(found.root, files, labels, groups, table, tuple(found.problems))


def _of_a_data_set(root: Path) -> Listing | None:
    """The listing by the first data set whose folder this is, for the task that asks least of it."""
    for dataset in DATASETS.values():
        if dataset.recognize(root):
            found = dataset.list_cells(root, next(iter(dataset.tasks)))
            beside = [] if any('/' not in record.file for record in found.records) else _images(found.root)
            if beside:
                found.problems.append(
                    f'{some(beside, 4)}: lie beside the folders of cells, so they are left out; move them into one'
                )
            return found
    return None


def _images_alone(root: Path) -> Listing:
    found = Listing('images', root, (), records=[Record(name, '', name) for name in _images(root)])
    if (root / GROUPS_CSV).is_file():
        apply_groups(found, root / GROUPS_CSV)
    return found


def _images(root: Path) -> list[str]:
    return [path.name for path in visible(root) if path.is_file() and path.suffix.lower() in image.SUFFIXES]
