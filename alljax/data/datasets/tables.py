"""The tables beside the images: found under any spelling, read as spreadsheets write them, matched to the files."""

import csv
import io
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from alljax.data import image
from alljax.errors import some
from alljax.storage.text_files import csv_value

SPREADSHEETS = ('.csv', '.tsv', '.tab', '.txt', '.xlsx', '.xls', '.xlsm', '.ods', '.numbers')
OURS = re.compile(r'pairs\.csv|(groups|pairs)\.before-audit-\d+\.csv|audit\.before-audit-\d+\.html')
WORDS = frozenset(
    {'annotation', 'annotations', 'cell', 'cells', 'class', 'classes', 'group', 'groups', 'label', 'labels', 'metadata'}
    | {'patient', 'patients', 'slide', 'slides', 'subtype', 'subtypes', 'table'}
)  # names of files that are likely to say what the images are
NO_GROUP = frozenset(
    {'-', '--', '.', '?', 'missing', 'n/a', 'n.a.', 'na', 'nan', 'none', 'not available', 'null', 'tbd', 'unk'}
    | {'unknown'}
)  # what people and programs write for a patient or slide that nobody knows
Rows = dict[str, dict[str, str]]  # by the `file` column, or another that names the lines


class Lines(NamedTuple):
    """The lines of a table below its first."""

    names: list[str]  # of the columns, in small letters
    values: list[dict[str, str]]  # of each line, by name


class Matches(NamedTuple):
    """The files that the names in a table stand for."""

    files: dict[str, str]  # name in the table → file
    unknown: list[str]  # names of no file
    ambiguous: dict[str, list[str]]  # names of several files


def find(folder: Path, name: str, problems: list[str]) -> Path | None:
    """The table of that name in a folder, whatever the case of its letters; None if there is none.

    Two that differ by case only are added to `problems`.
    """
    found = sorted(path for path in folder.iterdir() if path.name.lower() == name.lower() and path.is_file())
    if len(found) > 1:
        problems.append(f'{folder}: holds {some([path.name for path in found])}; keep one, and name it {name}')
    exact = [path for path in found if path.name == name]
    return next(iter((*exact, *found)), None)


def unread(
    folder: Path, files: Iterable[str], names: Sequence[str], found: Collection[str]
) -> tuple[list[str], list[str]]:
    """Problems and notes about files of a folder that look like tables for us, but are none that is read.

    `names` are those that are read, and `found` those of them that are there. 'groups.csv.txt' where there is no
    groups.csv is a problem; any other table is a note.
    """
    problems, notes = [], []
    for file in (file for file in files if '/' not in file):
        if file.lower() in names or OURS.fullmatch(file.lower()) or not file.lower().endswith(SPREADSHEETS):
            continue
        words = re.split(r'[^a-z]+', file.lower())
        meant = next((name for name in names if words[0] in (Path(name).stem, Path(name).stem.rstrip('s'))), None)
        if meant and meant not in found:
            problems.append(f'{folder / file}: is not read; save it as {meant} (CSV), or move it away')
        elif WORDS.intersection(words) or not file.lower().endswith('.txt'):
            notes.append(f'{file}: is not read, only {" and ".join(names)} are')
    return problems, notes


def read(path: Path, columns: tuple[str, ...], problems: list[str], key: str = 'file') -> Rows:
    """Rows of a CSV file by their `key` column; needs that one, takes the other `columns` that are there.

    Files that cannot be read, missing columns and keys named twice are added to `problems`. A group that says that it
    is unknown is none.
    """
    found = lines(path, problems)
    if found is None:
        return {}
    if key not in found.names or not set(columns) & set(found.names):
        problems.append(
            f'{path}: its first line is {",".join(found.names)!r}, expected the header {",".join((key, *columns))!r}'
        )
        return {}
    rows: Rows = {}
    twice = []
    for values in found.values:
        file = normal(values.pop(key).replace('\\', '/').removeprefix('./'))
        if not file:
            continue
        if file in rows:
            twice.append(file)
        rows[file] = {name: normal(value) for name, value in values.items()}
        if rows[file].get('group', '').lower() in NO_GROUP:
            rows[file]['group'] = ''
    if twice:
        problems.append(f'{path}: {some(twice)} named in more than one line; keep one')
    return rows


def lines(path: Path, problems: list[str]) -> Lines | None:
    """The lines of a CSV file as any spreadsheet writes it; None, and a sentence in `problems`, if it is none."""
    text = _text(path, problems)
    if text is None:
        return None
    text = text.replace('\r\n', '\n').replace('\r', '\n')
    first, _, rest = text.partition('\n')
    said = re.fullmatch(r'"?sep=(.)"?\s*', first, re.IGNORECASE)  # as Excel writes, and asks for
    if said:
        text, first = rest, rest.partition('\n')[0]
    dialect = csv.excel()
    dialect.delimiter = said[1] if said else max(',;\t', key=first.count)  # spreadsheets write any of the three
    reader = csv.DictReader(io.StringIO(text, newline=''), dialect=dialect)
    try:
        names = [(name or '').strip().lower() for name in reader.fieldnames or []]
        reader.fieldnames = names
        return Lines(names, [{name: csv_value((row[name] or '').strip()) for name in names if name} for row in reader])
    except csv.Error as error:
        problems.append(f'{path}: is no CSV table ({error}); save it as "CSV UTF-8"')
        return None


def match(names: Iterable[str], files: Collection[str]) -> Matches:
    """The file for each name: its path, or the end of its path if no other ends so, or a path from a folder above.

    Accented letters may be written in one code point or in two, as macOS does. A name that is no file's so may have
    letters of another case, or lack the suffix.
    """
    exact = _match([*names], files, normal)
    for form in (_any_case, _without_suffix):
        if not exact.unknown:
            break
        more = _match(exact.unknown, files, form)
        exact = Matches({**exact.files, **more.files}, more.unknown, {**exact.ambiguous, **more.ambiguous})
    return exact


def _any_case(name: str) -> str:
    return normal(name).casefold()


def _without_suffix(name: str) -> str:
    stem, suffix = os.path.splitext(_any_case(name))
    return stem if suffix in image.SUFFIXES else stem + suffix


def _match(names: Iterable[str], files: Collection[str], form: Callable[[str], str]) -> Matches:
    """The matches of names and files that are brought to one form."""
    ends: dict[str, list[str]] = {}
    whole: dict[str, list[str]] = {}
    for file in sorted(files):
        parts = form(file).split('/')
        whole.setdefault('/'.join(parts), []).append(file)
        for start in range(len(parts)):
            ends.setdefault('/'.join(parts[start:]), []).append(file)
    found, unknown, ambiguous = {}, [], {}
    for name in names:
        parts = form(name).split('/')
        above = ('/'.join(parts[start:]) for start in range(1, len(parts)))
        candidates = (
            whole.get('/'.join(parts))
            or ends.get('/'.join(parts))
            or next((whole[end] for end in above if end in whole), [])
        )
        if len(candidates) == 1:
            found[name] = candidates[0]
        elif candidates:
            ambiguous[name] = candidates
        else:
            unknown.append(name)
    return Matches(found, unknown, ambiguous)


def match_problems(name: str, matches: Matches) -> list[str]:
    """Sentences about names that stand for several files, and about files with several names, in the table `name`."""
    problems = []
    if matches.ambiguous:
        first = next(iter(matches.ambiguous))
        problems.append(
            f'{name}: {some(list(matches.ambiguous), 4)} named without a folder, but there are '
            f'{some(matches.ambiguous[first], 4)}; write their paths, as in {matches.ambiguous[first][0]}'
        )
    names: dict[str, list[str]] = {}
    for said, file in matches.files.items():
        names.setdefault(file, []).append(said)
    problems += [
        f'{name}: {" and ".join(same)} are the same image named in more than one line; keep one'
        for same in names.values()
        if len(same) > 1
    ]
    return problems


def normal(text: str) -> str:
    """The text with each accented letter in one code point (Unicode's NFC)."""
    return unicodedata.normalize('NFC', text)


def _text(path: Path, problems: list[str]) -> str | None:
    """The text of a table in UTF-8 or, as Excel's "Unicode text", in UTF-16; None if it is in neither."""
    remedy = 'save it as "CSV UTF-8"'
    try:
        data = path.read_bytes()
        if data.startswith((b'\xff\xfe', b'\xfe\xff')):
            return data.decode('utf-16')
        text = data.decode('utf-8-sig')
    except OSError as error:
        problems.append(f'{path}: cannot be read ({error.strerror}); correct its name or its permissions')
        return None
    except UnicodeDecodeError as error:
        kind = 'a spreadsheet, not CSV' if data.startswith((b'PK', b'\xd0\xcf')) else f'no UTF-8 text ({error})'
        problems.append(f'{path}: is {kind}; {remedy}')
        return None
    if '\0' in text:
        problems.append(f'{path}: is no UTF-8 text; {remedy}')
        return None
    return text
