"""The cells of a folder before a pixel is read, the tables beside them, and what a data set declares."""

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from alljax.data import image
from alljax.data.cells import Grouping, Side
from alljax.data.datasets import tables
from alljax.data.groups import connected
from alljax.data.picture import Picture
from alljax.errors import UserError, some

GROUPS_CSV = 'groups.csv'
ALONE = 'each cell is a group of its own'  # in a note, which no longer holds once an audit has found repeats
GROUPINGS: Mapping[Grouping, str] = MappingProxyType(
    {
        'patient or slide': 'by patient or slide',
        'repeats only': 'by repeats only: patients and slides are unknown',
        'unknown': 'patients, slides and repeats are unknown',
    }
)


class Record(NamedTuple):
    """One cell's file and what is known of it."""

    file: str  # relative to the listing's root, '/' between folders
    label: str
    group: str
    repeat: str = ''  # the same for all pictures of one cell, as an audit found them; '' for a cell seen once


@dataclass
class Listing:
    """All cells of a folder, with every problem that was found on the way."""

    name: str  # of the data set, as results.json has it
    root: Path
    classes: tuple[str, ...]
    synthetic: bool = False  # drawn, not photographed
    greyscale: bool = False  # a folder without any color is accepted
    records: list[Record] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)  # stop the run
    notes: list[str] = field(default_factory=list)  # are printed and kept in results.json
    group_table: str = GROUPS_CSV  # the table in which a user gives cells one group
    groups_csv: Path | None = None  # the file that an audit writes its groups to; None for the root's groups.csv
    reads_groups: bool = True  # from the groups.csv that an audit writes
    grouping: Grouping = 'unknown'  # what cells of one group have in common
    unnamed_groups: frozenset[str] = frozenset()  # names of groups that stand for no patient or slide
    audited: bool = False  # an audit groups equal pictures later, so that they are no problem here
    sides: dict[str, Side] = field(default_factory=dict)  # file → its side of the split that comes with the set
    read: Callable[[Path], Picture] = image.read  # a set whose pictures need more than decoding has its own

    def key(self) -> str:
        """A short name for this state of the folder: changes with any file's name, size, time, label or group."""
        digest = hashlib.sha256(repr((self.classes, self.greyscale, *(['audited'] * self.audited))).encode())
        for record in self.records:
            stat = image.stat(self.root / record.file)
            digest.update(repr((*record, stat.st_size, stat.st_mtime_ns)).encode())
        return digest.hexdigest()[:16]

    def taken(self) -> str:
        """The classes, their cells and the groups, in one line."""
        counts = Counter(record.label for record in self.records)
        names = [f'{name} {counts[name]}' for name in self.classes]
        groups = len({record.group for record in self.records})
        known = GROUPINGS[self.grouping]
        return f'{self.root}: {len(self.records)} cells ({some(names, 12)}) in {groups} groups ({known})'


def _recognizes_none(root: Path) -> str:
    return ''


class Source(NamedTuple):
    """A published set: how it may be used, and whom to cite."""

    name: str  # its public name, by which a report knows a backbone that was trained on it
    license: str
    citation: str
    pictures: int = 0  # that were published; 0 where that is not known

    def note(self) -> str:
        """The sentence that goes with every result on the set."""
        return f'{self.name}: {self.license}; cite {self.citation}'


class Dataset(NamedTuple):
    """A data set: how its folder is listed, and all that a run asks about it by then."""

    list_cells: Callable[[Path, str], Listing]  # of a folder that exists and a task; collects the folder's problems
    tasks: Mapping[str, tuple[str, ...]]  # task → classes, () where the folder names them; the first asks least of it
    version: str = '1.0.0'  # raise it when the same files would be read as other cells
    recognize: Callable[[Path], str] = _recognizes_none  # the task for a folder of this set; '' for any other folder
    draw: Callable[[int, int], Path] | None = None  # number of cells and seed → folder, for a set made of drawings
    layout: str = ''  # what its folder looks like, for who has another one
    source: Source | None = None  # of a published set
    general: bool = False  # reads anybody's folder: asked after the published sets, in the order of DATASETS
    file_as_root: bool = False  # config.data.root may be a file
    fields: bool = False  # whole microscope fields with boxes, of which `alljax crops` makes cells


def existing_folder(path: Path, flag: str = '--config.data.root', *, file_too: bool = False) -> Path:
    """`path` if it is a folder, or with `file_too` a file; else a UserError that tells a missing one from a file."""
    if not path.exists():
        raise UserError(f'{path}: there is no such folder; correct {flag}')
    if not path.is_dir() and not (file_too and path.is_file()):
        raise UserError(f'{path}: is a file, expected the folder of the data set; correct {flag}')
    return path.resolve()


class GroupTable(NamedTuple):
    """Facts about a groups.csv that was applied."""

    names: tuple[str, ...]  # of files, as the table has them: an audit names groups after files
    has_repeats: bool  # it says which cells are repeats, as that of an audit does


NO_TABLE = GroupTable((), False)


def apply_groups(listing: Listing, path: Path) -> GroupTable:
    """Takes groups, and repeats if an audit found them, from a groups.csv that names files by path or by name.

    Cells that had one group before stay together: the table may join groups, and never parts them.
    """
    rows = tables.read(path, ('group', 'repeat'), listing.problems)
    files = [record.file for record in listing.records]
    matches = tables.match(rows, files)
    listing.problems += tables.match_problems(path.name, matches)
    listing.problems += [
        f'{path.name}: {file} is not among the images; correct its name or delete the line' for file in matches.unknown
    ]
    found = {file: rows[name] for name, file in matches.files.items()}
    unlisted = sorted(set(files) - set(found))
    if rows and unlisted and not matches.ambiguous:
        listing.notes.append(
            f'{path.name}: does not name {some(unlisted, 4)}, so each keeps the group it had; audit the folder again'
        )
    said = [found.get(record.file, {}) for record in listing.records]
    own = [record.group for record in listing.records]
    unnamed = {*rows, *map(tables.normal, files)}
    groups = _joined(own, [row.get('group', '') for row in said], unnamed)
    listed, now = ({row['group'] for row in said if row.get('group')}, {*groups})
    if len({group for group, row in zip(groups, said, strict=True) if row.get('group')}) < len(listed):
        listing.notes.append(
            f'{path.name}: its {len(listed)} groups and the {len({*own})} that were known without it are joined to '
            f'{len(now)}, for cells stay together wherever either says so; delete it if it is out of date, and audit '
            'the folder again'
        )
    listing.records = [
        record._replace(group=group, repeat=row.get('repeat', ''))
        for record, group, row in zip(listing.records, groups, said, strict=True)
    ]
    return GroupTable(tuple(rows), any('repeat' in row for row in rows.values()))


def _joined(own: Sequence[str], table: Sequence[str], unnamed: Collection[str]) -> list[str]:
    """The group of each cell, if cells stay together that have one name in `own`, or one in `table` ('' for none).

    A group bears the one name that the table has for it, unless it is of the `unnamed`; else the one of its own, else
    all of them.
    """
    mine = {name: node for node, name in enumerate(dict.fromkeys(own))}
    theirs = {name: node for node, name in enumerate(dict.fromkeys(filter(None, table)), len(mine))}
    links = [(mine[name], theirs[said]) for name, said in zip(own, table, strict=True) if said]
    whole = connected(links, len(mine) + len(theirs)).tolist()
    names: dict[int, tuple[list[str], list[str]]] = {}  # in the table and in `own`, of each whole
    for kind, nodes in enumerate((theirs, mine)):
        for name, node in nodes.items():
            names.setdefault(whole[node], ([], []))[kind].append(name)
    called = {number: _name(*kinds, unnamed) for number, kinds in names.items()}
    return [called[whole[mine[name]]] for name in own]


def _name(table: Sequence[str], own: Sequence[str], unnamed: Collection[str]) -> str:
    known = [[name for name in names if name not in unnamed] for names in (table, own)]
    chosen = next((names for names in known if len(names) == 1), None) or max(known, key=len)
    return ' + '.join(chosen) or (table or own)[0]


def say_grouping(listing: Listing, own: Collection[str], table: GroupTable) -> None:
    """Sets what the groups of a listing stand for, and adds the note that says so.

    `own` are the names that the loader gave to groups by itself. Neither these nor those of an audit, which names a
    group after a file, are of a patient or slide.
    """
    unnamed = frozenset((*own, *table.names, *(tables.normal(record.file) for record in listing.records)))
    listing.unnamed_groups = unnamed
    without = [record.file for record in listing.records if record.group in unnamed]
    if listing.records and not without:
        listing.grouping = 'patient or slide'
        return
    shared = len({record.group for record in listing.records}) < len(listing.records)
    listing.grouping = 'repeats only' if table.has_repeats or shared else 'unknown'
    count, where = len(listing.records), listing.group_table
    if len(without) < count:
        listing.notes.append(
            f'{len(without)} of {count} cells have no patient or slide ({some(without, 4)}), so cells of one may be on '
            f'both sides; name them in {where} (group)'
        )
    elif listing.grouping == 'repeats only':
        listing.notes.append(
            'patients and slides are unknown: only repeats of one cell are kept together, so cells of one patient may '
            f'be on both sides; name them in {where} (group)'
        )
