"""The classes that folders name: of pictures in folders called as a model's classes are, and of the tables beside them.

The names of folders are compared as an external test compares labels: without case, spaces, hyphens and the encoding of
accents. A class folder may lie at any depth below the folder that is given, and hold further folders.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from alljax.data import folder_walk
from alljax.data.cells import Grouping
from alljax.data.datasets import layout, tables
from alljax.data.datasets.folder import CELLS_CSV
from alljax.data.datasets.listing import GROUPS_CSV, NO_TABLE, Listing, Record, apply_groups, say_grouping

BESIDE = 'beside the class folders'  # said of pictures that lie in no folder


class KnownCell(NamedTuple):
    """The class of a picture, and its group."""

    label: str  # one of the model's classes
    group: str  # of its patient or slide, or of its repeats; its own where nothing is known


class KnownCells(NamedTuple):
    """The pictures in folders whose class is known without a model."""

    cells: Mapping[Path, KnownCell]  # by the path that image_files.files gives
    grouping: Grouping  # what cells of one group have in common
    others: Mapping[str, int]  # folder or label that is none of the classes → its pictures
    problems: tuple[str, ...]  # sentences on the tables beside the folders


def class_of_folder(file: Path | str, classes: Sequence[str]) -> str:
    """The class that the outermost of a file's folders names, if any of them names one; else ''."""
    return next((found for _, found in _named(str(file), classes)), '')


def known_cells(paths: Iterable[Path], classes: Sequence[str]) -> KnownCells:
    """The pictures below those of the paths that are folders, where class folders or a cells.csv name their class.

    A cells.csv and a groups.csv count that lie beside the class folders. Where they do not name slides, each cell is
    a group of its own. Nothing is known of a path that is a file, or a folder without class folders.
    """
    listings = [found for path in paths if path.is_dir() for found in _listings(path, classes)]
    by_name = {layout.plain(name): name for name in classes}
    cells: dict[Path, KnownCell] = {}
    others: Counter[str] = Counter()
    for listing in listings:
        for record in listing.records:
            if own := by_name.get(layout.plain(record.label)):
                group = f'{listing.root}/{record.group}' if len(listings) > 1 else record.group
                cells[listing.root / record.file] = KnownCell(own, group)
            else:
                others[record.label or BESIDE] += 1
    known: set[Grouping] = {listing.grouping for listing in listings}
    least: tuple[Grouping, ...] = ('unknown', 'repeats only', 'patient or slide')
    grouping: Grouping = next((kind for kind in least if kind in known), 'unknown')
    return KnownCells(
        cells, grouping, dict(others) if cells else {}, tuple(p for one in listings for p in one.problems)
    )


def _named(file: str, classes: Sequence[str]) -> Iterable[tuple[int, str]]:
    """The depths of a file's folders that are called as classes are, from the outermost, each with its class."""
    by_name = {layout.plain(name): name for name in classes}
    for depth, folder in enumerate(file.split('/')[:-1]):
        if own := by_name.get(layout.plain(folder)):
            yield depth, own


def _listings(root: Path, classes: Sequence[str]) -> list[Listing]:
    """A listing of each folder that holds class folders, and of the pictures of `root` that lie in none.

    None where no picture has a class.
    """
    contents = folder_walk.walk(root)
    pictures, _ = folder_walk.images(root, contents)
    homes: dict[str, list[str]] = {}  # folder that holds class folders → pictures, named from there
    whole = tables.find(root, CELLS_CSV, []) is not None  # a table there speaks of all that is below
    for file in pictures:
        depth = 0 if whole else next((depth for depth, _ in _named(file, classes)), 0)
        home = ''.join(f'{folder}/' for folder in file.split('/')[:depth])
        homes.setdefault(home, []).append(file.removeprefix(home))
    listings = [_listing(root / home if home else root, files, classes) for home, files in homes.items()]
    by_name = {layout.plain(name) for name in classes}
    known = any(layout.plain(record.label) in by_name for listing in listings for record in listing.records)
    return listings if known else []


def _listing(home: Path, files: Sequence[str], classes: Sequence[str]) -> Listing:
    """The pictures of a folder with the class and the group that it and its tables name."""
    listing = Listing('folder', home, tuple(classes), group_table=CELLS_CSV)
    cells_csv, groups_csv = (tables.find(home, name, listing.problems) for name in (CELLS_CSV, GROUPS_CSV))
    rows = tables.read(cells_csv, ('label', 'group'), listing.problems) if cells_csv else {}
    matches = tables.match(rows, files)
    listing.problems += tables.match_problems(CELLS_CSV, matches)
    said = {file: rows[name] for name, file in matches.files.items()}
    listing.records = [
        Record(
            file,
            said.get(file, {}).get('label') or class_of_folder(file, classes) or '/'.join(file.split('/')[:-1][:1]),
            said.get(file, {}).get('group') or tables.normal(file),
        )
        for file in files
    ]
    groups = apply_groups(listing, groups_csv) if groups_csv else NO_TABLE
    say_grouping(listing, (), groups)
    return listing
