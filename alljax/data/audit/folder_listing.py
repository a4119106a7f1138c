"""The cells that a folder holds, whatever its layout: that of a data set, or images alone."""

from pathlib import Path
from typing import NamedTuple

from alljax.data import folder_walk
from alljax.data.datasets import DATASETS, candidates, tables
from alljax.data.datasets.listing import GROUPS_CSV, NO_TABLE, Listing, Record, apply_groups, say_grouping
from alljax.errors import UserError


class FolderListing(NamedTuple):
    """A folder before any picture is read."""

    home: Path  # where the tables are, and what files are named from
    files: tuple[str, ...]
    labels: tuple[str, ...]  # '' where the folder does not tell
    groups: tuple[str, ...]
    unnamed_groups: frozenset[str]  # names of groups that stand for no patient or slide
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
    notes = (*found.problems, *found.notes)
    return FolderListing(found.root, files, labels, groups, found.unnamed_groups, table, notes)


def _of_a_data_set(root: Path) -> Listing | None:
    """The listing by the first data set whose folder this is, for the task that asks least of it."""
    for dataset in (DATASETS[name] for name, _ in candidates(root)):
        if not dataset.fields:
            return dataset.list_cells(root, next(iter(dataset.tasks)))
    return None


def _images_alone(root: Path) -> Listing:
    contents = folder_walk.walk(root)
    files, masks = folder_walk.images(root, contents)
    found = Listing('images', root, (), records=[Record(file, '', tables.normal(file)) for file in files])
    found.notes += folder_walk.notes([*contents.unreadable, *masks, *contents.left_out])
    table = tables.find(root, GROUPS_CSV, found.problems)
    found.groups_csv = table  # under the name that it has
    say_grouping(found, (), apply_groups(found, table) if table else NO_TABLE)
    return found
