"""The table of time and segmentation, in sweeps with classical systems: seconds a cell, and scores of the outlines."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alljax.evaluation.comparison_table import ExtraTable
from alljax.runs import results
from alljax.storage.run_folder import is_finished
from alljax.sweep.variants import Run

NOTE = (
    'Means over the runs of a row; milliseconds a cell on this machine, medians over cells or of three rounds. '
    'Segmentation and features by hand take one core, a network all; a network’s own features are part of its '
    'prediction, but for a system that classifies them. Dice, 1 at best, and Hausdorff distance are of the test cells '
    'whose truth is known, with nothing found as 0 and as the picture’s diagonal.'
)


def _milliseconds(seconds: float) -> str:
    milliseconds = 1000 * seconds
    return f'{milliseconds:,.0f}' if milliseconds >= 999.5 else f'{milliseconds:.3g}'


COLUMNS: dict[str, tuple[str, str, Callable[[float], str]]] = {
    'segmentation, ms': ('seconds_a_cell', 'segmentation', _milliseconds),
    'features, ms': ('seconds_a_cell', 'features', _milliseconds),
    'prediction, ms': ('seconds_a_cell', 'prediction', _milliseconds),
    'test cells with nothing found': ('segmentation', 'nothing_found_in_test', '{:.0%}'.format),
    'nucleus Dice': ('segmentation', 'nucleus_dice', '{:.3f}'.format),
    'cell Dice': ('segmentation', 'cell_dice', '{:.3f}'.format),
    'nucleus Hausdorff, pixels': ('segmentation', 'nucleus_hausdorff', '{:.1f}'.format),
    'cell Hausdorff, pixels': ('segmentation', 'cell_hausdorff', '{:.1f}'.format),
}


def table(folder: Path, runs: Sequence[Run]) -> ExtraTable | None:
    """A row for each variant with a finished run; None if no run is of a classical system."""
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        if is_finished(folder / run.folder):
            found.setdefault(run.variant.name, []).append(results.read(folder / run.folder))
    if not any('segmentation' in facts for each in found.values() for facts in each):
        return None
    rows = {variant: [_mean(each, part, name) for part, name, _ in COLUMNS.values()] for variant, each in found.items()}
    shown = [place for place in range(len(COLUMNS)) if any(row[place] is not None for row in rows.values())]
    formats = [(column, form) for column, (_, _, form) in COLUMNS.items()]
    return ExtraTable(
        'costs',
        'Time and segmentation',
        dict(formats[place] for place in shown),
        {variant: [row[place] for place in shown] for variant, row in rows.items()},
        NOTE,
    )


def _mean(facts: Sequence[dict[str, Any]], part: str, name: str) -> float | None:
    values = [fact[part][name] for fact in facts if name in fact.get(part, {})]
    return float(np.mean(values)) if values else None
