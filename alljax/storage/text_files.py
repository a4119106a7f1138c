"""Files of text and of CSV that are there whole or not at all."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from alljax.storage.atomic import write_whole

# What a spreadsheet takes for the start of a formula (OWASP, "CSV Injection"), and what was quoted once already.
FORMULA = re.compile(r"'*[=+\-@\t\r\n]")


def write_text(path: Path, text: str) -> None:
    """Writes a file of UTF-8, whole or not at all."""
    # a file name that is not UTF-8 reaches us with surrogates, which no file can hold
    write_whole(path, text.encode(errors='backslashreplace'))


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]], end: str = '\n') -> str:
    """The text of a CSV file: a line of column names, then the rows, None as nothing; `end` is the end of a line."""
    return ''.join(csv_line(row, end) for row in (columns, *rows))


def csv_line(values: Sequence[object], end: str = '\n') -> str:
    """One line of a CSV file, with its end; text that a spreadsheet would run as a formula gets a ' before it.

    `csv_rows` takes that away again. Numbers stay as they are, also those that are text already.
    """
    stream = io.StringIO()
    csv.writer(stream).writerow(map(_quoted, values))  # ends in \r\n, so that either of them in a value is quoted
    return stream.getvalue().removesuffix('\r\n') + end


def csv_rows(text: str) -> list[dict[str, str]]:
    """The rows of a CSV file that `csv_text` or a spreadsheet wrote, by the names of its columns."""
    reader = csv.reader(io.StringIO(text, newline=''))
    columns = next(reader, [])
    return [dict(zip(columns, map(csv_value, row), strict=False)) for row in reader if row]


def csv_value(cell: str) -> str:
    """The text that `csv_line` was given for this cell."""
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def _quoted(value: object) -> object:
    if not isinstance(value, str) or not FORMULA.match(value):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value
