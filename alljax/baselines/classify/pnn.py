"""The probabilistic neural network: the density of each class as a sum of Gaussians, one on each training cell."""

import numpy as np
import scipy
from jaxtyping import Float, Shaped
from sklearn.base import BaseEstimator, ClassifierMixin

X = Float[np.ndarray, 'cells features']


class Pnn(ClassifierMixin, BaseEstimator):
    """Parzen windows with one width for all (Specht 1990); every class is taken as equally frequent.

    `width` is the Gaussians' standard deviation in units of the features, over all of them: it is multiplied by the
    square root of their number, as distances are.
    """

    def __init__(self, width: float = 0.3):
        self.width = width

    def fit(self, x: X, y: Shaped[np.ndarray, ' cells']) -> 'Pnn':
        """Keeps the cells."""
        self.classes_, self.labels_ = np.unique(y, return_inverse=True)
        self.cells_ = np.asarray(x, float)
        return self

    def predict_proba(self, x: X) -> Float[np.ndarray, 'cells classes']:
        """The share of each class in the sum of all classes' densities."""
        squared = ((np.asarray(x, float)[:, None] - self.cells_[None]) ** 2).sum(-1)
        exponent = -squared / (2 * self.width**2 * self.cells_.shape[1])
        members = [self.labels_ == label for label in range(len(self.classes_))]
        densities = [scipy.special.logsumexp(exponent[:, its], axis=1) - np.log(its.sum()) for its in members]
        return scipy.special.softmax(np.stack(densities, 1), axis=1)

    def predict(self, x: X) -> Shaped[np.ndarray, ' cells']:
        """The class of the highest density."""
        return self.classes_[self.predict_proba(x).argmax(1)]
