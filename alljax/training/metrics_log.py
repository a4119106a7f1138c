"""The metrics of training on disk: metrics.jsonl and TensorBoard's event files."""

import importlib
import json
import math
import sys
from pathlib import Path
from typing import Any

from alljax.storage.atomic import write_whole

Row = dict[str, Any]  # of JSON: 'step' → 3, 'loss' → 0.7


class MetricsLog:
    """Appends rows to metrics.jsonl, as they come, and their numbers to TensorBoard; rows after `step` are dropped.

    A run that was killed has written rows for steps that it will do again.
    """

    def __init__(self, folder: Path, step: int):
        self.path = folder / 'metrics.jsonl'
        kept = [row for row in read(self.path) if row['step'] <= step]
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
    """The rows of a metrics.jsonl; a last line that a kill cut short is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows
