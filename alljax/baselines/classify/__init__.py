"""Classifiers by name, each with the hyperparameters that a search chooses from."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from sklearn.base import BaseEstimator
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from alljax.baselines.classify.anfis import Anfis
from alljax.baselines.classify.estimators import Hierarchy, Svm, Vote
from alljax.baselines.classify.pnn import Pnn

__all__ = ['CLASSIFIERS', 'Anfis', 'Choice', 'Hierarchy', 'Pnn', 'Svm', 'Vote']

FUZZY_INPUTS = 6  # principal components that ANFIS gets: each rule has a number for every one of them


class Choice(NamedTuple):
    """A classifier and what a search may set in it."""

    make: Callable[[int], BaseEstimator]  # from a seed
    grid: Mapping[str, Sequence[Any]]
    components: int = 0  # principal components that it gets at most; 0 means all features


def _vote(seed: int) -> Vote:
    members = [
        ('svm', Svm()),
        ('mlp', MLPClassifier(max_iter=1000, random_state=seed)),
        ('knn', KNeighborsClassifier(algorithm='brute')),
        ('forest', RandomForestClassifier(random_state=seed)),
    ]
    return Vote(members)


CLASSIFIERS: dict[str, Choice] = {
    'knn': Choice(lambda seed: KNeighborsClassifier(algorithm='brute'), {'n_neighbors': (1, 3, 5, 7, 9, 15)}),
    'svm': Choice(
        lambda seed: Svm(break_ties=True), {'C': (0.1, 1.0, 10.0, 100.0), 'gamma': ('scale', 0.001, 0.01, 0.1)}
    ),
    'anfis': Choice(lambda seed: Anfis(), {'rules': (2, 4, 8)}, FUZZY_INPUTS),
    'pnn': Choice(lambda seed: Pnn(), {'width': (0.1, 0.2, 0.3, 0.5, 0.8)}),
    'vote': Choice(_vote, {'svm__C': (1.0, 10.0)}),
    # no source's: few numbers to learn, and the best on slides never seen (tests/benchmarks/RESULTS.md)
    'logistic': Choice(
        lambda seed: LogisticRegression(class_weight='balanced', max_iter=1000), {'C': (0.001, 0.003, 0.01, 0.03)}
    ),
    'lda': Choice(lambda seed: LinearDiscriminantAnalysis(solver='lsqr'), {'shrinkage': (0.3, 0.6, 0.9)}),
}
