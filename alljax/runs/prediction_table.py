"""The table of a model's predictions of test cells, as a CSV file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from alljax.data.cells import Cells
from alljax.storage.text_files import csv_text, write_text

Columns = Mapping[str, Sequence[str]]  # name → a value for each cell


def write(
    path: Path, cells: Cells, probabilities: Float[np.ndarray, 'cells classes'], further: Columns
) -> list[dict[str, str]]:
    """A table of a line a cell: file, group, label, prediction, the probability of each class, and further columns.

    Returns its rows.
    """
    rows = []
    for index, row in enumerate(probabilities):
        known = cells.names[index], cells.group_names[cells.groups[index]], cells.classes[cells.labels[index]]
        more = [values[index] for values in further.values()]
        rows.append([*known, cells.classes[row.argmax()], *(f'{p:.6f}' for p in row), *more])
    columns = ['file', 'group', 'label', 'prediction', *(f'probability_{name}' for name in cells.classes), *further]
    write_text(path, csv_text(columns, rows, end='\r\n'))
    return [dict(zip(columns, row, strict=True)) for row in rows]
