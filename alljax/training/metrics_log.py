"""The metrics of training on disk: metrics.jsonl and TensorBoard's event files."""

import importlib
import json
import logging
import math
import sys
from pathlib import Path
from typing import Any

from alljax.errors import UserError, some
from alljax.storage import hosts
from alljax.storage.atomic import write_whole

log = logging.getLogger(__name__)

Row = dict[str, Any]  # of JSON: 'step' → 3, 'loss' → 0.7


class MetricsLog:
    """Appends rows to metrics.jsonl, as they come, and their numbers to TensorBoard; rows after `step` are dropped.

    A run that was killed has written rows for steps that it will do again. A file with damaged lines is kept aside.
    """

    def __init__(self, folder: Path, step: int):
        self.path = folder / 'metrics.jsonl'
        rows, damaged = _parsed(self.path)
        if damaged:
            aside = folder / 'metrics.jsonl.damaged'
            self.path.replace(aside)
            log.warning('%s: %s; the file as it was is kept as %s', self.path, _left_out(damaged), aside.name)
        kept = [row for row in rows if row['step'] <= step]
        write_whole(self.path, ''.join(json.dumps(row) + '\n' for row in kept).encode())
        self._file = self.path.open('a', buffering=1)
        self._board = _event_files(folder / 'tensorboard', step)

    def write(self, row: Row) -> None:
        """Adds a row; it needs 'step'."""
        self._file.write(json.dumps(row) + '\n')
        for name, value in row.items():
            if name not in ('step', 'epoch') and math.isfinite(value):
                self._board.add_scalar(name, value, row['step'])

    def close(self) -> None:
        """Writes what is still in memory."""
        self._file.close()
        self._board.close()


class NoRows:
    """In the place of a MetricsLog in a process that trains with the one which writes."""

    def write(self, row: Row) -> None:
        """Keeps nothing."""

    def close(self) -> None:
        """Nothing was opened."""


Rows = MetricsLog | NoRows


def opened(folder: Path, step: int) -> Rows:
    """The metrics of a run folder in the process that writes it; in the others nothing is written."""
    return MetricsLog(folder, step) if hosts.is_first() else NoRows()


def _event_files(folder: Path, step: int) -> Any:
    """TensorBoard's writer; it would load torch, if that is installed, for features that we do not use."""
    absent = 'torch' not in sys.modules
    if absent:
        sys.modules['torch'] = None  # type: ignore[assignment]  # makes an import of it fail
    try:
        board = importlib.import_module('tensorboardX')
    finally:
        if absent:
            del sys.modules['torch']
    return board.SummaryWriter(str(folder), purge_step=step + 1 if step else None)


def read(path: Path) -> list[Row]:
    """The rows of a metrics.jsonl; a last line that a kill cut short is left out, and with a note any damaged one.

    UserError for what is no file.
    """
    rows, damaged = _parsed(path)
    if damaged:
        log.warning('%s: %s', path, _left_out(damaged))
    return rows


def training_accuracy(path: Path, epoch: int | None = None) -> float | None:
    """The mean training accuracy over the steps of an epoch, from 1, in a metrics.jsonl; of the last one without.

    It is of cells as training saw them: changed, if they are changed at each step, by a network that still learns.
    None without such rows.
    """
    rows = [row for row in _parsed(path)[0] if 'accuracy' in row and 'epoch' in row]
    if epoch is None and rows:
        epoch = math.ceil(rows[-1]['epoch'] - 1e-9)
    found = [row['accuracy'] for row in rows if math.ceil(row['epoch'] - 1e-9) == epoch]
    return sum(found) / len(found) if found else None


def _parsed(path: Path) -> tuple[list[Row], list[int]]:
    """The rows, and the numbers of the lines that are none."""
    try:
        text = path.read_text(encoding='utf-8', errors='replace')
    except FileNotFoundError:
        return [], []
    except IsADirectoryError:
        raise UserError(f'{path}: is a folder, expected a file; delete it and give the same command again') from None
    lines = text.split('\n')
    found = [_row(line) for line in lines]
    damaged = [number for number, row in enumerate(found[:-1], 1) if row is None]  # after the last \n a kill cut it
    return [row for row in found if row is not None], damaged


def _row(line: str) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or type(row.get('step')) is not int:
        return None
    numbers = all(type(value) in (int, float) and math.isfinite(value) for value in row.values())
    return row if numbers else None


def _left_out(damaged: list[int]) -> str:
    lines = some([*map(str, damaged)], 4)
    return f'cannot be read in line {lines}; the curves leave these out, and all other results stand'
