"""Hyperparameters, and the classifier itself where there are several, by inner cross-validation over whole groups."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int, Integer
from sklearn.base import BaseEstimator, clone
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from alljax.baselines.classify import CLASSIFIERS
from alljax.baselines.classify.estimators import Hierarchy
from alljax.baselines.systems import System
from alljax.errors import UserError, nearest

FOLDS = 3
SCORE = 'balanced_accuracy'  # so that rare classes count
Table = Float[np.ndarray, 'cells features']
Labels = Integer[np.ndarray, ' cells']


class Fitted(NamedTuple):
    """A classifier that was fitted to all training cells, and how it was chosen."""

    estimator: BaseEstimator
    chosen: dict[str, Any]  # in words for results.json


def fitted(system: System, values: Table, labels: Labels, groups: Labels, classes: Sequence[str], seed: int) -> Fitted:
    """The system's classifier on training cells, chosen among them by folds that separate no group.

    Hierarchical ones are chosen level by level, if there is a class 'normal' and at least two others.
    """
    if not system.hierarchical or 'normal' not in classes or len(classes) < 3:
        return _searched(system, values, labels, groups, seed)
    normal = list(classes).index('normal')
    ill = labels != normal
    first = _searched(system, values, (~ill).astype(int), groups, seed)
    second = _searched(system, values[ill], labels[ill], groups[ill], seed)
    hierarchy = Hierarchy(normal, first.estimator, second.estimator)
    return Fitted(hierarchy, {'normal or not': first.chosen, 'which of the others': second.chosen})


def folds(labels: Labels, groups: Labels, seed: int) -> list[tuple[Int[np.ndarray, ' _'], Int[np.ndarray, ' _']]]:
    """Inner folds that separate no group and leave every class on the training side; none if groups are too few."""
    count = min(FOLDS, len(np.unique(groups)))
    if count < 2:
        return []
    split = StratifiedGroupKFold(count, shuffle=True, random_state=seed % 2**32)
    whole = set(labels)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # of classes with fewer cells than folds: judged here
        parts = list(split.split(labels, labels, groups))
    return [(train, test) for train, test in parts if set(labels[train]) == whole and len(test)]


def _searched(system: System, values: Table, labels: Labels, groups: Labels, seed: int) -> Fitted:
    # features of several networks come with a scale of their own, which keeps the widest from outweighing the others
    scale = 'passthrough' if system.networks else StandardScaler()
    pipeline = Pipeline([('scale', scale), ('reduce', 'passthrough'), ('classify', 'passthrough')])
    grids = [_grid(name, system, values.shape[1], seed) for name in system.classify]
    inner = folds(labels, groups, seed)
    if not inner:
        alone = clone(pipeline).set_params(**{key: options[0] for key, options in grids[0].items()})
        said = {'classifier': system.classify[0], 'why': 'the first of the list: too few groups for inner folds'}
        return Fitted(alone.fit(values, labels), said)
    with warnings.catch_warnings():  # of a class that the slides of an inner fold do not have: the others are scored
        warnings.filterwarnings('ignore', 'y_pred contains classes not in y_true', UserWarning)
        search = GridSearchCV(pipeline, grids, scoring=SCORE, cv=inner).fit(values, labels)
    return Fitted(search.best_estimator_, _said(search, grids, system, len(inner)))


def _grid(name: str, system: System, columns: int, seed: int) -> dict[str, Sequence[Any]]:
    if name not in CLASSIFIERS:
        raise UserError(
            f'there is no classifier {name!r}{nearest(name, CLASSIFIERS)}; if it is your own, run its file first, as '
            '--config does'
        )
    choice = CLASSIFIERS[name]
    limits = [limit for limit in (system.components, choice.components) if limit]
    reduce = PCA(min(*limits, columns)) if limits else 'passthrough'
    return {
        'classify': [choice.make(seed)],
        'reduce': [reduce],
        **{f'classify__{key}': list(options) for key, options in choice.grid.items()},
    }


def _said(search: GridSearchCV, grids: list[dict[str, Sequence[Any]]], system: System, count: int) -> dict[str, Any]:
    best = search.best_params_
    place = next(place for place, grid in enumerate(grids) if grid['classify'][0] is best['classify'])
    return {
        'classifier': system.classify[place],
        **{key.removeprefix('classify__'): value for key, value in best.items() if key.startswith('classify__')},
        'inner balanced accuracy': round(float(search.best_score_), 4),
        'inner folds': count,
    }
