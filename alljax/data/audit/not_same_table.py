"""not_same.csv: pairs that a person looked at and found to be different cells, as audit.html writes it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from alljax.data.audit.folder_listing import FolderListing
from alljax.data.datasets import tables
from alljax.data.datasets.tables import normal
from alljax.errors import UserError

COLUMNS = ('file', 'other_file')

Marks = frozenset[tuple[int, int]]  # places among the files of an audit, the lower first


def read(path: Path, files: Sequence[str]) -> Marks:
    """The pairs of a not_same.csv, also one that a spreadsheet saved.

    UserError for no such table, and with every line that names no two of the files.
    """
    if not path.is_file():
        raise UserError(f'{path}: is no file; correct --not_same')
    problems: list[str] = []
    table = tables.lines(path, problems)
    if table is None:
        raise UserError(*problems)
    if not set(COLUMNS) <= set(table.names):
        raise UserError(f'{path}: expected the columns {",".join(COLUMNS)}, as audit.html writes them')
    # as text_files.write_text writes a name that is not UTF-8
    places = {normal(file.encode(errors='backslashreplace').decode()): place for place, file in enumerate(files)}
    found = set()
    for row in table.values:
        names = [normal(row[column]) for column in COLUMNS]
        missing = [name for name in names if name not in places]
        problems += [f'{path}: {name} is not among the images; correct its name or delete the line' for name in missing]
        if not missing and names[0] == names[1]:
            problems.append(f'{path}: {names[0]} stands on both sides of a line; delete the line')
        elif not missing:
            first, second = sorted(places[name] for name in names)
            found.add((first, second))
    if problems:
        raise UserError(*problems)
    return frozenset(found)


def of_pictures(path: Path, marks: Marks, files: Sequence[str], pixels: Sequence[str]) -> Marks:
    """The marks, for a file that equals others given to the first of them, for that is the one that is compared.

    UserError for a mark on two files of the same pixels: no look can tell them apart.
    """
    first: dict[str, int] = {}
    place = [first.setdefault(digest, index) for index, digest in enumerate(pixels)]
    equal = [f'{files[a]} and {files[b]}' for a, b in sorted(marks) if place[a] == place[b]]
    if equal:
        raise UserError(*(f'{path}: {names} have the same pixels; delete the line' for names in equal))
    return frozenset((min(place[a], place[b]), max(place[a], place[b])) for a, b in marks)


def notes(path: Path, marks: Marks, listing: FolderListing) -> list[str]:
    """A note if marks change no group, because an earlier audit, or the data set itself, had joined their files."""
    before = [listing.groups[first] for first, second in marks if listing.groups[first] == listing.groups[second]]
    joined = sum(group in listing.unnamed_groups for group in before)
    if not joined:
        return []
    return [
        f'{path.name}: {joined} of its {len(marks)} pairs stay in one group, for they were in one before this audit; '
        f'put the groups.csv that audit.html gives in the place of {listing.groups_csv}, or move that away, and audit '
        'again'
    ]


def among(marks: Marks, pairs: Int[np.ndarray, 'pairs 2']) -> Bool[np.ndarray, ' pairs']:
    """True for each of the pairs, the lower place first, that is marked."""
    return np.array([(first, second) in marks for first, second in pairs.tolist()], bool)
