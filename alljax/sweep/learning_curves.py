"""The learning curves of a sweep whose variants train on fewer slides or fewer cells."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alljax.evaluation import learning_curve, metrics
from alljax.evaluation.learning_curve import CELLS, SLIDES, Curve, Point
from alljax.runs import results
from alljax.storage.atomic import write_whole
from alljax.storage.text_files import csv_text, write_text
from alljax.sweep.variant_result import VariantResult
from alljax.sweep.variants import Run

MEASURE, WORDS = 'macro_recall', 'macro recall'
GROWS = {'split.train_groups': SLIDES, 'split.train_cells': CELLS}
COLUMNS = ('curve', 'variant', 'training_slides', 'training_cells', 'repetition', 'accuracy', 'macro_recall')


class Drawn(NamedTuple):
    """The curves of a sweep, as its table shows them."""

    figure: bytes  # PNG
    sentence: str


def write(folder: Path, runs: Mapping[str, Sequence[Run]], found: Mapping[str, VariantResult | str]) -> Drawn | None:
    """Writes learning_curve.png and learning_curve.csv of the variants of one protocol, by name.

    A variant belongs to the curve of the one field that it sets of split.train_groups and split.train_cells; one that
    sets neither, the whole training side, ends both. None if some runs are not finished or nothing varies.
    """
    kinds = {name: {GROWS[key] for key, value in its[0].variant.fields.items() if key in GROWS and value}
             for name, its in runs.items() if its}  # fmt: skip
    if not any(kinds.values()) or any(isinstance(result, str) for result in found.values()):
        return None
    curves, lines = [], []
    for grows in (SLIDES, CELLS):
        points = []
        for name, kind in kinds.items():
            result = found[name]
            if kind <= {grows} and isinstance(result, VariantResult):
                point, accuracies = _point(folder, runs[name], result)
                points.append(point)
                lines += [
                    (grows, name, f'{point.slides:g}', f'{point.cells:g}', repeat, accuracy, recall)
                    for repeat, (accuracy, recall) in enumerate(zip(accuracies, point.scores, strict=True))
                ]
        if len(points) > 1:
            curves.append(Curve(grows, sorted(points, key=lambda point: getattr(point, grows))))
    figure = learning_curve.draw(curves, WORDS)
    write_whole(folder / 'learning_curve.png', figure)
    write_text(folder / 'learning_curve.csv', csv_text(COLUMNS, lines))
    return Drawn(figure, learning_curve.conclusion(curves, WORDS))


def _point(folder: Path, runs: Sequence[Run], result: VariantResult) -> tuple[Point, list[float]]:
    """The mean size of the training side, macro recall of each repetition's folds together; and the accuracies."""
    splits = [results.read(folder / run.folder)['split'] for run in runs]
    repeats = sorted({run.repeat for run in runs})
    scores: dict[str, list[float]] = {'accuracy': [], MEASURE: []}
    for repeat in repeats:
        matrices = [m for run, m in zip(runs, result.fold_matrices, strict=True) if run.repeat == repeat]
        for measure, values in scores.items():
            values.append(float(metrics.compute(np.sum(matrices, axis=0), measure, result.classes)))
    slides = float(np.mean([split['groups']['train'] for split in splits]))
    cells = float(np.mean([split['train_n'] for split in splits]))
    return Point(slides, cells, tuple(scores[MEASURE])), scores['accuracy']
