"""Advice on a folder of cells before any network is trained: `alljax advise FOLDER`."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alljax.data import datasets
from alljax.data.audit.shortcuts import told_by
from alljax.data.cells import Cells
from alljax.data.datasets import DataOptions
from alljax.errors import UserError
from alljax.evaluation import metrics
from alljax.runs.advice import growth, protocol, scores
from alljax.runs.advice.features import Table, Tables, Track, silent
from alljax.runs.advice.findings import Advice, BySlide, TableScores, WhiteBalance
from alljax.runs.advice.protocol import Protocol
from alljax.runs.advice.scores import Fold, Predicted

__all__ = ['Advice', 'advise', 'read']

SIZE = 257  # pixels a side: that of a run, which finds the features of a classical system in the cache


class _Tested(NamedTuple):
    """The cells that are classified, and what is told of each."""

    cells: Cells
    tables: Sequence[Table]
    protocol: Protocol | None  # by slide
    folds: list[list[Fold]]  # of the protocol
    by_file: list[Predicted]  # of each table
    by_slide: list[Predicted]  # of each table; none without a protocol


def read(root: Path) -> tuple[Cells, str]:
    """The cells of a folder, and the task for which they are read.

    UserError for a folder that holds no data set, and with every problem of it.
    """
    name, task = datasets.recognized(root)
    return datasets.load(DataOptions(name, str(root), task, SIZE, device_cache_mb=math.inf), 0), task


def advise(cells: Cells, tables: Tables, task: str, track: Track = silent) -> Advice:
    """The advice on cells by their features; the pictures themselves are not looked at."""
    cells = replace(cells, images=np.zeros((len(cells), 1, 1, 3), np.uint8))
    known = cells.origin.grouping == 'patient or slide'
    tested = _tested(cells, tables, known, track)
    labels = [cells.classes[label] for label in cells.labels]
    groups = [cells.group_names[group] for group in cells.groups]
    found = []
    for place, table in enumerate(track(tested.tables, desc='telling slides', unit=' tables')):
        by_slide = scores.score(tested.cells, tested.by_slide[place]) if tested.protocol else None
        told = scores.slide_score(table.values, tested.cells) if known else None
        found.append(TableScores(table.name, scores.score(tested.cells, tested.by_file[place]), by_slide, told))
    return Advice(
        cells,
        task,
        protocol.class_counts(cells),
        found,
        1 / len(tested.cells.classes),
        scores.slide_score(tables.shortcuts['border'], cells) if known else None,
        told_by(tables.shortcuts, labels, groups),
        _by_slide(cells, tested, found, track),
    )


def _tested(cells: Cells, tables: Tables, known: bool, track: Track) -> _Tested:
    """Every table by file, and by slide where slides are known and the classes are on enough of them."""
    rows = protocol.testable(cells) if known else np.arange(len(cells))
    found = protocol.by_slide(protocol.of_rows(cells, rows)) if known else None
    if found is None:
        rows = np.arange(len(cells))
    asked, folds = found or (None, [])
    chosen = protocol.of_rows(cells, rows)
    mine = [table._replace(values=table.values[rows]) for table in tables.compared]
    files = scores.by_file_folds(chosen)
    by_file = [scores.cross_validated(table, chosen.labels, files, track, 'by file') for table in mine]
    if not (by_file[0] >= 0).any():
        raise UserError(
            f'{cells.origin.root}: {len(cells)} cells are too few: no class has two that can be on both sides of a '
            'split; add cells'
        )
    by_slide = [scores.cross_validated(table, chosen.labels, folds, track, 'by slide') for table in mine if asked]
    return _Tested(chosen, mine, asked, folds, by_file, by_slide)


def _by_slide(cells: Cells, tested: _Tested, found: Sequence[TableScores], track: Track) -> BySlide | None:
    if tested.protocol is None:
        return None
    told, taken = scores.chosen_on_inner_folds(tested.tables, tested.cells, tested.folds, tested.by_slide, track)
    most = int(np.argmax(taken))
    total = scores.counts(tested.cells, told).total()
    recalls = metrics.PER_CLASS['recall'](total).tolist()
    without, balanced = found[0].slide_told, found[1].slide_told
    return BySlide(
        tested.protocol,
        [count.name for count in protocol.class_counts(cells) if count.slides == 1],
        scores.difference(tested.cells, tested.by_file[most], tested.by_slide[most]),
        found[most],
        scores.score(tested.cells, told),
        dict(zip(tested.cells.classes, recalls, strict=True)),
        WhiteBalance(
            scores.difference(tested.cells, tested.by_slide[1], tested.by_slide[0]),
            (without.score.value, balanced.score.value) if without and balanced else None,
        ),
        growth.gains(tested.tables[most], tested.cells, tested.folds, tested.by_slide[most], track),
    )
