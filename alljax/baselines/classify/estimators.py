"""Classifiers of scikit-learn that also say how sure they are, and the hierarchy of two."""

from typing import Any

import numpy as np
import scipy
from jaxtyping import Float, Shaped
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import VotingClassifier
from sklearn.svm import SVC

X = Float[np.ndarray, 'cells features']


class Svm(SVC):
    """A support vector machine whose margins are read as log odds: they rank cells, but are not calibrated."""

    def predict_proba(self, x: X) -> Float[np.ndarray, 'cells classes']:
        """The softmax of the margins, whose largest is the class that `predict` names."""
        margin = self.decision_function(x)
        if margin.ndim == 1:
            share = scipy.special.expit(margin)
            return np.stack([1 - share, share], 1)
        return scipy.special.softmax(margin, axis=1)


class Vote(VotingClassifier):
    """A majority vote; the probability of a class is its share of the votes."""

    def predict_proba(self, x: X) -> Float[np.ndarray, 'cells classes']:
        """Shares of the votes; of equal ones the class that comes first is predicted, as `predict` does."""
        votes = np.asarray(self.transform(x))
        return np.stack([(votes == label).mean(1) for label in range(len(self.classes_))], 1)


class Hierarchy(ClassifierMixin, BaseEstimator):
    """First normal or not, then which of the other classes: two fitted classifiers, one below the other."""

    def __init__(self, normal: int, first: Any, second: Any):
        self.normal = normal
        self.first = first  # its classes are 0, not normal, and 1
        self.second = second  # of the classes that are not normal

    def fit(self, x: X, y: Shaped[np.ndarray, ' cells']) -> 'Hierarchy':
        """Fits each on its part of the cells."""
        ill = y != self.normal
        self.first.fit(x, (~ill).astype(int))
        self.second.fit(x[ill], y[ill])
        return self

    @property
    def classes_(self) -> np.ndarray:
        """All classes."""
        return np.sort([*self.second.classes_, self.normal])

    def predict_proba(self, x: X) -> Float[np.ndarray, 'cells classes']:
        """Of a class that is not normal: the chance of not being normal times that of the class among those.

        Where `first` says not normal, normal is held just below the likeliest of the others: the largest is the class
        that `predict` names.
        """
        normal = self.first.predict_proba(x)[:, 1]
        others = self.second.predict_proba(x) * (1 - normal[:, None])
        below = np.minimum(normal, others.max(1) * (1 - 1e-6))
        normal = np.where(normal > 0.5, normal, below)
        share = np.insert(others, int(np.searchsorted(self.second.classes_, self.normal)), normal, axis=1)
        return share / share.sum(1, keepdims=True)

    def predict(self, x: X) -> Shaped[np.ndarray, ' cells']:
        """The class that `first` says; of a cell that is not normal, the class that `second` says."""
        return self.classes_[self.predict_proba(x).argmax(1)]
