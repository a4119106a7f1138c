"""The cells of a folder before a pixel is read, the tables beside them, and what a data set declares."""

import csv
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from alljax.errors import UserError, some
from alljax.storage.text_files import csv_value

GROUPS_CSV = 'groups.csv'


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

    def key(self) -> str:
        """A short name for this state of the folder: changes with any file's name, size, time, label or group."""
        digest = hashlib.sha256(repr((self.classes, self.greyscale)).encode())
        for record in self.records:
            stat = (self.root / record.file).stat()
            digest.update(repr((*record, stat.st_size, stat.st_mtime_ns)).encode())
        return digest.hexdigest()[:16]


def _recognizes_none(root: Path) -> str:
    return ''


class Dataset(NamedTuple):
    """A data set: how its folder is listed, and all that a run asks about it by then."""

    list_cells: Callable[[Path, str], Listing]  # of a folder that exists and a task; collects the folder's problems
    tasks: Mapping[str, tuple[str, ...]]  # task → classes, () where the folder names them; the first asks least of it
    version: str = '1.0.0'  # raise it when the same files would be read as other cells
    recognize: Callable[[Path], str] = _recognizes_none  # the task for a folder of this set; '' for any other folder
    draw: Callable[[int, int], Path] | None = None  # number of cells and seed → folder, for a set made of drawings


def existing_folder(path: Path, flag: str = '--config.data.root') -> Path:
    """`path` if it is a folder; else a UserError that tells a missing one from a file."""
    if not path.exists():
        raise UserError(f'{path}: there is no such folder; correct {flag}')
    if not path.is_dir():
        raise UserError(f'{path}: is a file, expected the folder of the data set; correct {flag}')
    return path.resolve()


def read_table(path: Path, columns: tuple[str, ...], problems: list[str]) -> dict[str, dict[str, str]]:
    """Rows of a CSV file by their `file` column; needs 'file', takes the other `columns` that are there.

    Unreadable files, missing columns and files named twice are added to `problems`.
    """
    try:
        text = path.read_text(encoding='utf-8-sig')
    except (OSError, UnicodeDecodeError) as error:
        problems.append(f'{path}: cannot be read ({error}); save it as UTF-8 text')
        return {}
    lines = text.splitlines()
    dialect = csv.excel()
    dialect.delimiter = max(',;\t', key=(lines[0] if lines else '').count)  # spreadsheets write any of the three
    reader = csv.DictReader(lines, dialect=dialect)
    names = [(name or '').strip().lower() for name in reader.fieldnames or []]
    if 'file' not in names or not set(columns) & set(names):
        problems.append(
            f'{path}: its first line is {",".join(names)!r}, expected the header {",".join(("file", *columns))!r}'
        )
        return {}
    reader.fieldnames = names
    rows: dict[str, dict[str, str]] = {}
    twice = []
    for row in reader:
        values = {name: csv_value((row[name] or '').strip()) for name in names if name}
        file = values.pop('file').replace('\\', '/').removeprefix('./')
        if not file:
            continue
        if file in rows:
            twice.append(file)
        rows[file] = values
    if twice:
        problems.append(f'{path}: {some(twice)} named in more than one line; keep one')
    return rows


def apply_groups(listing: Listing, path: Path) -> None:
    """Takes groups, and repeats if an audit found them, from a groups.csv that names files by path or by name."""
    rows = read_table(path, ('group', 'repeat'), listing.problems)
    files = {record.file for record in listing.records}
    by_name = {Path(file).name: file for file in files}
    found = {file if file in files else by_name.get(Path(file).name, ''): row for file, row in rows.items()}
    unknown = [file for file in rows if file not in files and Path(file).name not in by_name]
    listing.problems += [f'{path.name}: {file} is not among the images; delete the line' for file in unknown]
    unlisted = sorted(files - set(found))
    if rows and unlisted:
        listing.notes.append(
            f'{path.name}: does not name {some(unlisted, 4)}, so each keeps the group it had; audit the folder again'
        )
    listing.records = [
        record._replace(group=row.get('group') or record.group, repeat=row.get('repeat', ''))
        for record in listing.records
        for row in [found.get(record.file, {})]
    ]


def visible(path: Path) -> list[Path]:
    """Files and folders in a folder, sorted, without hidden ones and the marks that file managers leave."""
    skipped = {'thumbs.db', 'desktop.ini', '__macosx'}
    return sorted(p for p in path.iterdir() if not p.name.startswith('.') and p.name.lower() not in skipped)
