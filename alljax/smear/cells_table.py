"""cells.csv of a smear: a line a found cell, with its place in the field and what the model says of it."""

from collections.abc import Sequence
from pathlib import Path

from alljax.predict import Predictor
from alljax.smear.found_cells import FoundCell
from alljax.storage.text_files import csv_text, write_text

PLACE = ('field', 'x', 'y', 'left', 'top', 'width', 'height', 'class')
REST = ('answer', 'set', 'unlike', 'note', 'error', 'file')


def write(path: Path, cells: Sequence[FoundCell], run: Predictor) -> None:
    """Writes the table, whole or not at all; places are in pixels of the field, x to the right and y down."""
    columns = (*PLACE, *(f'probability_{name}' for name in run.classes), *REST)
    write_text(path, csv_text(columns, [_line(cell, run.classes) for cell in cells]))


def _line(cell: FoundCell, classes: Sequence[str]) -> list[object]:
    row = cell.row
    numbers = [''] * len(classes) if row.probabilities is None else [f'{share:.6f}' for share in row.probabilities]
    place = [f'{value:.1f}' for value in (*cell.center, *cell.box)]
    unlike = row.unlike if row.is_unlike else ''
    return [str(cell.field.path), *place, cell.class_name(classes), *numbers, row.answer, '|'.join(row.possible),
            unlike, row.note, row.error, cell.crop]  # fmt: skip
