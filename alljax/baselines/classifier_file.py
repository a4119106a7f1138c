"""Fitted classifiers as files that run no code when they are read.

skops is imported where it is used: it imports all of scikit-learn, and that torch, if the user has it for other ends.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import Pipeline
from sklearn.tree._tree import Tree

from alljax.baselines.classify.anfis import Anfis
from alljax.baselines.classify.estimators import Hierarchy, Svm, Vote
from alljax.baselines.classify.pnn import Pnn
from alljax.errors import UserError

# What a file may hold besides NumPy's arrays and the estimators of scikit-learn that skops knows to be harmless.
TRUSTED = (
    *(f'{kind.__module__}.{kind.__qualname__}' for kind in (Anfis, Hierarchy, Pnn, Svm, Vote)),
    'sklearn.neural_network._stochastic_optimizers.AdamOptimizer',  # numbers of a perceptron's training
    'sklearn.tree._tree.Tree',  # arrays, which are checked below: it is compiled code that walks along them
    'sklearn.utils._bunch.Bunch',
)


def write(path: Path, estimator: BaseEstimator) -> None:
    """Writes a fitted classifier; UserError if `read` could not trust all that it holds."""
    import skops.io

    skops.io.dump(estimator, path)
    unknown = _unknown_types(path)
    if unknown:
        path.unlink()
        raise UserError(
            f'the classifier holds {", ".join(unknown)}, with which its file could not be trusted: reading a model '
            'runs no code, so it may hold only types of scikit-learn and alljax; build one of your own from these'
        )


def read(path: Path) -> BaseEstimator:
    """The classifier that `write` wrote; UserError if it is damaged or holds anything that `write` does not write."""
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        estimator = skops.io.load(path, trusted=list(TRUSTED))
    except UntrustedTypesFoundException:
        unknown = ', '.join(_unknown_types(path))
        raise UserError(f'{path}: holds {unknown}, which no alljax run writes; it was not opened') from None
    except Exception as error:  # damaged bytes may break any line of skops and of what it calls
        raise UserError(f'{path}: cannot be read ({error}); the model is damaged: train it again') from None
    if not all(_is_sound(tree) for tree in _trees(estimator)):
        raise UserError(f'{path}: holds a decision tree that leads nowhere; the model is damaged: train it again')
    return estimator


def _unknown_types(path: Path) -> list[str]:
    """Types in a file that neither skops nor TRUSTED knows to be harmless."""
    import skops.io

    return sorted(set(skops.io.get_untrusted_types(file=path)) - set(TRUSTED))


def _trees(estimator: Any) -> Iterator[Tree]:
    """The decision trees in a pipeline, a vote or a hierarchy."""
    if isinstance(estimator, Pipeline):
        yield from _trees(estimator[-1])
    elif isinstance(estimator, Hierarchy):
        yield from _trees(estimator.first)
        yield from _trees(estimator.second)
    elif isinstance(estimator, Vote):
        for member in estimator.estimators_:
            yield from _trees(member)
    elif isinstance(estimator, RandomForestClassifier):
        for member in estimator.estimators_:
            yield member.tree_


def _is_sound(tree: Tree) -> bool:
    """True if every branch leads to a later node and asks for a feature that there is."""
    leaf = tree.children_left < 0
    places = np.arange(tree.node_count)
    children = np.stack([tree.children_left, tree.children_right])[:, ~leaf]
    asked = tree.feature[~leaf]
    forward = (children > places[~leaf]).all() and (children < tree.node_count).all()
    return bool(forward and (asked >= 0).all() and (asked < tree.n_features).all())
