"""A published set as its users have it on disk: its files known by their names, in whatever folder they were unpacked.

Each set of this kind says of a file's path what the cell is. What they share is here: what is left out, what is
missing, the groups of an audit, the license and whom to cite.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from alljax.data import folder_walk
from alljax.data.cells import Side
from alljax.data.datasets import tables
from alljax.data.datasets.listing import (
    ALONE,
    GROUPS_CSV,
    NO_TABLE,
    Listing,
    Record,
    Source,
    apply_groups,
    say_grouping,
)
from alljax.data.folder_walk import FolderContents, LeftOut
from alljax.errors import UserError, some

OWN_TABLE = 'cells.csv'  # of a user, who has made a set of his own of the files
SHOWN = 8  # files of one kind of problem that are named
SEGMENTED = re.compile(r'(^|/)(segmented|masks?)(/|$)', re.IGNORECASE)


class PublishedCell(NamedTuple):
    """One picture of a published set, as its path tells it."""

    label: str
    group: str = ''  # of its patient or slide; '' where that is not known
    side: Side | None = None  # of the published split
    repeat: str = ''  # the same for equal pictures


class Refused(NamedTuple):
    """A picture that is not taken."""

    reason: str
    wrong: bool = False  # it stops the run; else it is told in a note


Reader = Callable[[str], PublishedCell | Refused]  # of a picture's path from the root, '/' between folders


def has(root: Path, name: re.Pattern[str]) -> bool:
    """True for a folder most of whose pictures have paths that end as the pattern says, by a look at some of each.

    False where a table of the user's own lies in it: that makes it class folders.
    """
    if not root.is_dir() or tables.find(root, OWN_TABLE, []):
        return False
    pictures = [file for file in folder_walk.glimpse(root) if folder_walk.is_image(file)]
    return 2 * sum(bool(name.search(f'/{file}')) for file in pictures) > len(pictures)


def list_cells(name: str, root: Path, classes: Sequence[str], source: Source, read: Reader) -> Listing:
    """The cells of a published set below `root`, each as `read` tells it from its path.

    The classes are those of `classes` that have a cell. UserError for a folder without any picture of the set.
    """
    contents = folder_walk.walk(root)
    pictures, masks = folder_walk.images(root, contents)
    told = {file: read(file) for file in pictures}
    found = {file: cell for file, cell in told.items() if isinstance(cell, PublishedCell)}
    refused = {file: cell for file, cell in told.items() if isinstance(cell, Refused)}
    if not found:
        names = some([path.name for path in folder_walk.visible(root)], 4) or 'nothing'
        raise UserError(
            f'{root}: holds {names}, and no picture named as in {source.name}; correct --config.data.root, or set '
            '--config.data.name to the set that it is'
        )
    listing = Listing(name, root, tuple(label for label in classes if label in {cell.label for cell in found.values()}))
    listing.records = [
        Record(file, cell.label, cell.group or tables.normal(file), cell.repeat) for file, cell in sorted(found.items())
    ]
    listing.sides = {file: cell.side for file, cell in found.items() if cell.side}
    listing.problems += [f'{root / file}: {reason}' for file, reason in contents.unreadable]
    listing.problems += _problems({file: cell for file, cell in refused.items() if cell.wrong})
    listing.notes.append(source.note())
    left_out = [LeftOut(file, cell.reason) for file, cell in refused.items() if not cell.wrong]
    listing.notes += folder_walk.notes([*left_out, *masks, *contents.left_out])
    _say_missing(listing, classes, source)
    _group(listing, root, [cell.repeat for cell in found.values()])
    return listing


def unpacked(contents: FolderContents, name: str) -> str:
    """The file of that name in a folder or below, whatever the case of its letters; '' if there is none."""
    return next((file for file in contents.files if file.rpartition('/')[2].lower() == name.lower()), '')


def without_segmented(files: Iterable[str]) -> Refused | None:
    """The reason to leave out files in folders of segmented versions; None where a set has no others."""
    others = any(folder_walk.is_image(file) and not SEGMENTED.search(file) for file in files)
    return Refused('a segmented version of another picture') if others else None


def crops_first(root: Path, source: Source, marks: str) -> str:
    """The sentence on a set of whole fields, of which cells are to be made first."""
    return (
        f'{root}: is {source.name}, whole fields with {marks}, and a run takes single cells; make them with `alljax '
        f'crops {root} OUT`, then name OUT with --config.data.root, whose cells.csv says which cells are of one field'
    )


def _problems(wrong: dict[str, Refused]) -> list[str]:
    """A sentence for each kind of picture that stops the run."""
    by_reason: dict[str, list[str]] = {}
    for file, cell in wrong.items():
        by_reason.setdefault(cell.reason, []).append(file)
    return [f'{some(files, SHOWN)}: {reason}' for reason, files in by_reason.items()]


def _say_missing(listing: Listing, classes: Sequence[str], source: Source) -> None:
    """Adds a problem if fewer than two classes have a cell, and a note if some of the published set are not here."""
    counts = Counter(record.label for record in listing.records)
    absent = [label for label in classes if not counts[label]]
    if len(listing.classes) < 2:
        listing.problems.append(
            f'{listing.root}: holds cells of {some([*listing.classes])} only, expected {some([*classes], 16)}; add the '
            'other folders of the set'
        )
    elif absent:
        listing.notes.append(f'{some(absent, 16)}: no cell of these classes is here, so they are no classes of the run')
    if source.pictures and len(listing.records) != source.pictures:
        listing.notes.append(f'{len(listing.records):,} of the {source.pictures:,} published pictures are taken')


def _group(listing: Listing, root: Path, repeats: Sequence[str]) -> None:
    """Applies the groups.csv of an audit, and says what the groups are."""
    table = tables.find(root, GROUPS_CSV, listing.problems)
    listing.groups_csv = table
    before = listing.records
    groups = apply_groups(listing, table) if table else NO_TABLE
    if not groups.has_repeats:  # those that the set is known to have
        listing.records = [
            record._replace(repeat=record.repeat or own.repeat)
            for record, own in zip(listing.records, before, strict=True)
        ]
    say_grouping(listing, {repeat for repeat in repeats if repeat}, groups)
    if listing.grouping == 'unknown':
        listing.notes.append(
            f'the set does not tell patients or slides: {ALONE}, so cells of one patient may be on both sides; '
            f'name them in {GROUPS_CSV} (file,group) if you know them'
        )
