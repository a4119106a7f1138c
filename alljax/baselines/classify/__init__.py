"""Classifiers by name, each with the hyperparameters that a search chooses from.

scikit-learn is imported by what makes one: whoever asks for the names should not wait seconds for it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

FUZZY_INPUTS = 6  # principal components that ANFIS gets: each rule has a number for every one of them


class Choice(NamedTuple):
    """A classifier and what a search may set in it."""

    make: 'Callable[[int], BaseEstimator]'  # from a seed
    grid: Mapping[str, Sequence[Any]]
    components: int = 0  # principal components that it gets at most; 0 means all features


def _knn(seed: int) -> 'BaseEstimator':
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(algorithm='brute')


def _svm(seed: int) -> 'BaseEstimator':
    from alljax.baselines.classify.estimators import Svm

    return Svm(break_ties=True)


def _anfis(seed: int) -> 'BaseEstimator':
    from alljax.baselines.classify.anfis import Anfis

    return Anfis()


def _pnn(seed: int) -> 'BaseEstimator':
    from alljax.baselines.classify.pnn import Pnn

    return Pnn()


def _vote(seed: int) -> 'BaseEstimator':
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.neural_network import MLPClassifier

    from alljax.baselines.classify.estimators import Svm, Vote

    members = [
        ('svm', Svm()),
        ('mlp', MLPClassifier(max_iter=1000, random_state=seed)),
        ('knn', _knn(seed)),
        ('forest', RandomForestClassifier(random_state=seed)),
    ]
    return Vote(members)


def _logistic(seed: int) -> 'BaseEstimator':
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(class_weight='balanced', max_iter=1000)


def _lda(seed: int) -> 'BaseEstimator':
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver='lsqr')


CLASSIFIERS: dict[str, Choice] = {
    'knn': Choice(_knn, {'n_neighbors': (1, 3, 5, 7, 9, 15)}),
    'svm': Choice(_svm, {'C': (0.1, 1.0, 10.0, 100.0), 'gamma': ('scale', 0.001, 0.01, 0.1)}),
    'anfis': Choice(_anfis, {'rules': (2, 4, 8)}, FUZZY_INPUTS),
    'pnn': Choice(_pnn, {'width': (0.1, 0.2, 0.3, 0.5, 0.8)}),
    'vote': Choice(_vote, {'svm__C': (1.0, 10.0)}),
    # no source's: few numbers to learn, and the best on slides never seen (tests/benchmarks/RESULTS.md)
    'logistic': Choice(_logistic, {'C': (0.001, 0.003, 0.01, 0.03)}),
    'lda': Choice(_lda, {'shrinkage': (0.3, 0.6, 0.9)}),
}
