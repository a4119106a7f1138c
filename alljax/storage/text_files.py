"""Files of text and of CSV that are there whole or not at all."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from alljax.storage.atomic import write_whole


def write_text(path: Path, text: str) -> None:
    """Writes a file of UTF-8, whole or not at all."""
    # a file name that is not UTF-8 reaches us with surrogates, which no file can hold
    write_whole(path, text.encode(errors='backslashreplace'))


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The text of a CSV file: a line of column names, then the rows, None as nothing."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator='\n').writerows([columns, *rows])
    return stream.getvalue()
