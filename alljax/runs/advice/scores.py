"""Scores of a simple classifier on tables of features: by file, by slide, and at telling the slides themselves."""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer
from sklearn.base import BaseEstimator
from sklearn.dummy import DummyClassifier
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from alljax.baselines import model_selection
from alljax.baselines.classify.estimators import Svm
from alljax.data.cells import Cells
from alljax.data.split import Index
from alljax.evaluation import intervals, metrics
from alljax.evaluation.intervals import GroupedCounts
from alljax.runs.advice.features import Table, Track, Values

FOLDS, REPEATS = 5, 3
LEAST = 4  # pictures of a slide, of one class, that its look can be learned from and tested on
SLIDE_FOLDS = 3  # of the classifier that tells slides
DRAWS = 2000

Fold = tuple[Index, Index]  # training and test cells
Predicted = Int[np.ndarray, 'repeats cells']
RECALL = metrics.OVERALL['macro_recall']


class Score(NamedTuple):
    """A measure as a fraction of 1."""

    value: float
    interval: list[float] | None  # 95 %, whole slides resampled; None where that cannot be had

    @property
    def low(self) -> float:
        """The lower end of the interval; minus infinity where there is none."""
        return self.interval[0] if self.interval else -np.inf

    @property
    def high(self) -> float:
        """The upper end of the interval; infinity where there is none."""
        return self.interval[1] if self.interval else np.inf


class SlideScore(NamedTuple):
    """The mean over slides of the share of cells of which the slide is told, among those of the cell's class."""

    score: Score
    chance: float
    classes: int  # with two or more slides of LEAST pictures


def by_file_folds(cells: Cells) -> list[list[Fold]]:
    """Stratified folds for each repeat: cells of one slide stand on both sides, pictures of one cell never do."""
    unit = units(cells)
    count = max(2, min(FOLDS, int(np.bincount(cells.labels).max())))
    return [_folds(cells.labels, unit, count, repeat) for repeat in range(REPEATS)]


def units(cells: Cells) -> Int[np.ndarray, ' cells']:
    """A number for each cell that was pictured, the same for all pictures of it."""
    alone = cells.repeats.max(initial=-1) + 1 + np.arange(len(cells))
    return np.where(cells.repeats >= 0, cells.repeats, alone)


def predictions(values: Values, labels: Integer[np.ndarray, ' cells'], folds: Sequence[Fold]) -> Int[np.ndarray, ' _']:
    """The label that is told of each tested cell by a model that saw none of its fold; cells in no fold have -1."""
    found = np.full(len(labels), -1)
    for train, test in folds:
        found[test] = fitted(values[train], labels[train]).predict(values[test])
    return found


def cross_validated(
    table: Table, labels: Integer[np.ndarray, ' cells'], repeats: Sequence[Sequence[Fold]], track: Track, about: str
) -> Predicted:
    """`predictions` of each repeat."""
    found = np.full((len(repeats), len(labels)), -1)
    every = [(repeat, fold) for repeat, folds in enumerate(repeats) for fold in folds]
    for repeat, (train, test) in track(every, desc=f'{about}: {table.name}', unit=' fits'):
        found[repeat, test] = fitted(table.values[train], labels[train]).predict(table.values[test])
    return found


def chosen_on_inner_folds(
    tables: Sequence[Table], cells: Cells, repeats: Sequence[Sequence[Fold]], told: Sequence[Predicted], track: Track
) -> tuple[Predicted, list[int]]:
    """Predictions by the table that is best on inner folds of each training side, and how often each was taken.

    `told` are the predictions of each table on the same folds. No tested slide takes part in the choice.
    """
    found, taken = np.full_like(told[0], -1), [0] * len(tables)
    every = [(repeat, number, fold) for repeat, folds in enumerate(repeats) for number, fold in enumerate(folds)]
    for repeat, number, (train, test) in track(every, desc='choosing features', unit=' folds'):
        enough = np.bincount(cells.labels[train]).max() >= model_selection.FOLDS  # without, the first table is taken
        seed = 100 * repeat + number
        inner = model_selection.folds(cells.labels[train], cells.groups[train], seed) if enough else []
        best = int(np.argmax([_inner_score(table.values[train], cells.labels[train], inner) for table in tables]))
        found[repeat, test] = told[best][repeat, test]
        taken[best] += 1
    return found, taken


def counts(cells: Cells, predicted: Predicted) -> GroupedCounts:
    """The confusion matrices of all repeats together, slide by slide; cells that were not tested are left out."""
    repeats = len(predicted)
    tested = predicted.ravel() >= 0
    labels, groups = (np.tile(column, repeats)[tested].astype(int) for column in (cells.labels, cells.groups))
    return intervals.confusion_by_group(labels, predicted.ravel()[tested], groups, len(cells.classes))


def score(cells: Cells, predicted: Predicted) -> Score:
    """Macro recall with its interval over slides."""
    found = counts(cells, predicted)
    return Score(float(RECALL(found.total())), intervals.group_bootstrap(found, RECALL))


def difference(cells: Cells, first: Predicted, second: Predicted) -> Score:
    """Macro recall of the first predictions less that of the second, with its interval over slides drawn for both."""
    one, other = counts(cells, first), counts(cells, second)
    value = float(RECALL(one.total()) - RECALL(other.total()))
    return Score(value, intervals.group_bootstrap_difference(one, other, RECALL, paired=True))


def slide_score(values: Values, cells: Cells) -> SlideScore | None:
    """The score at telling the slide of a cell among those that hold its class; None if no class has two to tell."""
    unit, recalls, chances, slides = units(cells), [], [], []
    classes = 0
    for label in range(len(cells.classes)):
        members = np.flatnonzero(cells.labels == label)
        names, number = np.unique(cells.groups[members], return_counts=True)
        members = members[np.isin(cells.groups[members], names[number >= LEAST])]
        groups = cells.groups[members].astype(int)
        names = np.unique(groups)
        if len(names) < 2:
            continue
        classes += 1
        told = predictions(values[members], groups, _folds(groups, unit[members], SLIDE_FOLDS, 0))
        recalls += [float((told[groups == name] == name).mean()) for name in names]
        chances += [1 / len(names)] * len(names)
        slides += names.tolist()
    if not recalls:
        return None
    interval = _mean_interval(np.array(recalls), np.array(slides))
    return SlideScore(Score(float(np.mean(recalls)), interval), float(np.mean(chances)), classes)


def fitted(values: Values, labels: Integer[np.ndarray, ' _']) -> BaseEstimator:
    """A support vector machine of standardized features, its classes with equal weight; nothing of it is chosen.

    Where all cells are of one class, it says that class.
    """
    one = bool((labels == labels[0]).all())
    machine = DummyClassifier() if one else Svm(C=10.0, class_weight='balanced')
    return make_pipeline(StandardScaler(), machine).fit(values, labels)


def _folds(labels: Integer[np.ndarray, ' _'], groups: Integer[np.ndarray, ' _'], count: int, seed: int) -> list[Fold]:
    if np.bincount(labels).max(initial=0) < count:
        return []
    split = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # of classes with fewer cells than folds
        return [(train, test) for train, test in split.split(labels, labels, groups) if len(train) and len(test)]


def _inner_score(values: Values, labels: Integer[np.ndarray, ' _'], inner: Sequence[Fold]) -> float:
    told = predictions(values, labels, inner)
    tested = told >= 0
    classes = int(labels.max()) + 1
    return float(RECALL(metrics.confusion(labels[tested].astype(int), told[tested], classes))) if tested.any() else 0.0


def _mean_interval(values: Float[np.ndarray, ' _'], slides: Int[np.ndarray, ' _']) -> list[float] | None:
    """The 95 % interval of a mean over (class, slide) when whole slides are drawn with replacement."""
    names, member = np.unique(slides, return_inverse=True)
    if len(names) < 3:
        return None
    drawn = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=DRAWS)
    means = (drawn @ np.bincount(member, values)) / (drawn @ np.bincount(member))
    return [float(bound) for bound in np.quantile(means, [0.025, 0.975])]
