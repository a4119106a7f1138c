"""The gain of more slides and of more cells: the same test with half of either taken from the training side."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from alljax.data.cells import Cells
from alljax.data.split import Index
from alljax.evaluation import learning_curve
from alljax.evaluation.learning_curve import Curve, Point
from alljax.runs.advice import scores
from alljax.runs.advice.features import Table, Track
from alljax.runs.advice.scores import RECALL, Fold, Predicted, Score

PARTS = (0.25, 0.5)  # of the training slides, or of the cells of each slide; a doubling leads from the last to all
Thin = Callable[[Index, int], Index]  # training cells and a seed, to those that are kept


class Growth(NamedTuple):
    """Gains by the last doubling: macro recall with all of the training side less that with half of it."""

    table: str  # the features that were used
    slides: Score
    cells: Score
    of_class: dict[str, Score]  # when the slides of one class are halved
    curves: list[Curve]


def gains(table: Table, cells: Cells, repeats: Sequence[Sequence[Fold]], whole: Predicted, track: Track) -> Growth:
    """The gains on the tested cells of the folds; `whole` are the predictions of all training cells."""

    def thinned(thin: Thin, about: str) -> tuple[Predicted, Point]:
        kept = [
            [(thin(train, 100 * repeat + fold), test) for fold, (train, test) in enumerate(those)]
            for repeat, those in enumerate(repeats)
        ]
        predicted = scores.cross_validated(table, cells.labels, kept, track, about)
        return predicted, _point(cells, kept, predicted)

    everything = _point(cells, repeats, whole)
    last, curves, of_class = {}, [], {}
    ways = ((learning_curve.SLIDES, fewer_slides), (learning_curve.CELLS, fewer_cells))
    for grows, fewer in ways:
        found = [thinned(partial(fewer, cells, part), f'fewer {grows}') for part in PARTS]
        curves.append(Curve(grows, [*(point for _, point in found), everything]))
        last[grows] = scores.difference(cells, whole, found[-1][0])
    for label, name in enumerate(cells.classes):
        predicted, _ = thinned(partial(fewer_slides, cells, PARTS[-1], only=label), f'fewer slides of {name}')
        of_class[name] = scores.difference(cells, whole, predicted)
    return Growth(table.name, last[learning_curve.SLIDES], last[learning_curve.CELLS], of_class, curves)


def fewer_slides(cells: Cells, part: float, train: Index, seed: int, only: int | None = None) -> Index:
    """The training cells on a part of the slides of each class, or of `only` one; at least one slide stays.

    A larger part holds a smaller one. Cells of another class on a slide that one class loses stay.
    """
    order = np.random.default_rng([seed, 11]).permutation(int(cells.groups.max()) + 1)
    kept = []
    for label in np.unique(cells.labels[train]):
        members = train[cells.labels[train] == label]
        if only is None or label == only:
            slides = np.unique(cells.groups[members])
            slides = slides[np.argsort(order[slides])][: _count(len(slides), part)]
            members = members[np.isin(cells.groups[members], slides)]
        kept.append(members)
    return np.sort(np.concatenate(kept))


def fewer_cells(cells: Cells, part: float, train: Index, seed: int) -> Index:
    """A part of the training cells of each class on each slide; at least one stays, and a larger part holds it."""
    order = np.random.default_rng([seed, 13]).permutation(len(cells))
    kept = []
    for label, group in np.unique(np.stack([cells.labels[train], cells.groups[train]], 1), axis=0):
        members = train[(cells.labels[train] == label) & (cells.groups[train] == group)]
        kept.append(members[np.argsort(order[members])][: _count(len(members), part)])
    return np.sort(np.concatenate(kept))


def _count(number: int, part: float) -> int:
    return max(1, int(np.ceil(part * number)))


def _point(cells: Cells, repeats: Sequence[Sequence[Fold]], predicted: Predicted) -> Point:
    """The mean number of slides and cells that trained, and the macro recall of each repeat."""
    trained = [train for folds in repeats for train, _ in folds]
    slides = float(np.mean([len(np.unique(cells.groups[train])) for train in trained]))
    recalls = [float(RECALL(scores.counts(cells, row[None]).total())) for row in predicted]
    return Point(slides, float(np.mean([len(train) for train in trained])), tuple(recalls))
