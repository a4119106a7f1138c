"""ANFIS: a network of fuzzy rules, whose conclusions are linear in the features (Jang 1993)."""

from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float, Shaped
from sklearn.base import BaseEstimator, ClassifierMixin

from alljax.baselines.fuzzy_clustering import fuzzy_c_means, spread

X = Float[np.ndarray, 'cells features']
RIDGE = 1e-3  # times the number of cells: keeps the least squares solvable where rules overlap
NARROWEST = 0.2  # standard deviation of a membership at the start, in units of the features


class Rules(NamedTuple):
    """The premises: a Gaussian membership of each rule over each feature."""

    centers: Float[np.ndarray, 'rules features']
    log_widths: Float[np.ndarray, 'rules features']


class Anfis(ClassifierMixin, BaseEstimator):
    """Takagi-Sugeno rules of first order, an output a class, trained by the hybrid method of Jang 1993.

    In each of `epochs` the conclusions are solved by least squares, then the memberships go a step down the gradient of
    the squared error; a step that does not lessen the error is undone and the next is half as long. The memberships
    start at the clusters that fuzzy c-means finds, one a rule, instead of a grid, which for n features of two
    memberships would take 2^n rules. Features are expected at unit variance.
    """

    def __init__(self, rules: int = 3, epochs: int = 20):
        self.rules = rules
        self.epochs = epochs

    def fit(self, x: X, y: Shaped[np.ndarray, ' cells']) -> 'Anfis':
        """Finds rules whose outputs are close to 1 for a cell's class and to 0 for others."""
        x = np.asarray(x, float)
        self.classes_, labels = np.unique(y, return_inverse=True)
        target = np.eye(len(self.classes_))[labels]
        premises = _start(x, min(self.rules, len(x)))
        conclusions = _solved(x, target, premises)
        error, step = _error(x, target, premises, conclusions), 0.1
        for _ in range(self.epochs):
            slope = _slope(x, target, premises, conclusions)
            length = np.sqrt(sum((part**2).sum() for part in slope))
            if length == 0:
                break
            tried = Rules(*(old - step * part / length for old, part in zip(premises, slope, strict=True)))
            solved = _solved(x, target, tried)
            new = _error(x, target, tried, solved)
            if new < error:
                premises, conclusions, error, step = tried, solved, new, step * 1.1
            else:
                step /= 2
        self.centers_, self.log_widths_, self.conclusions_ = *premises, conclusions
        return self

    def predict_proba(self, x: X) -> Float[np.ndarray, 'cells classes']:
        """The outputs, cut to 0 … 1 and brought to a sum of 1."""
        x = np.asarray(x, float)
        outputs = _outputs(x, Rules(self.centers_, self.log_widths_), self.conclusions_)
        share = np.clip(outputs, 1e-6, 1)
        return share / share.sum(1, keepdims=True)

    def predict(self, x: X) -> Shaped[np.ndarray, ' cells']:
        """The class of the largest output."""
        return self.classes_[self.predict_proba(x).argmax(1)]


Conclusions = Float[np.ndarray, 'rules inputs classes']  # a linear function of the features and 1, for each rule


def _start(x: X, count: int) -> Rules:
    clusters = fuzzy_c_means(x, spread(x, count))
    share = clusters.memberships**2
    squared = (x[:, None] - clusters.centers[None]) ** 2
    widths = np.sqrt(np.einsum('nr,nrf->rf', share, squared) / share.sum(0)[:, None])
    return Rules(clusters.centers, np.log(np.maximum(widths, NARROWEST)))


def _firing(x: X, premises: Rules) -> Float[np.ndarray, 'cells rules']:
    """The weight of each rule for each cell: products of Gaussians over their sum, which is a softmax."""
    z = (x[:, None] - premises.centers) / np.exp(premises.log_widths)
    return scipy.special.softmax(-(z**2).sum(-1) / 2, axis=1)


def _inputs(x: X) -> Float[np.ndarray, 'cells inputs']:
    return np.concatenate([x, np.ones((len(x), 1))], 1)


def _outputs(x: X, premises: Rules, conclusions: Conclusions) -> Float[np.ndarray, 'cells classes']:
    return np.einsum('nr,nf,rfk->nk', _firing(x, premises), _inputs(x), conclusions, optimize=True)


def _solved(x: X, target: Float[np.ndarray, 'cells classes'], premises: Rules) -> Conclusions:
    """The conclusions of the least squared error, a little ridge included."""
    firing, inputs = _firing(x, premises), _inputs(x)
    design = (firing[:, :, None] * inputs[:, None]).reshape(len(x), -1)
    normal = design.T @ design + RIDGE * len(x) * np.eye(design.shape[1])
    return np.linalg.solve(normal, design.T @ target).reshape(firing.shape[1], inputs.shape[1], -1)


def _error(x: X, target: Float[np.ndarray, 'cells classes'], premises: Rules, conclusions: Conclusions) -> float:
    """Half the squared error, and the ridge that `_solved` pays."""
    missed = _outputs(x, premises, conclusions) - target
    return float((missed**2).sum() + RIDGE * len(x) * (conclusions**2).sum()) / 2


def _slope(x: X, target: Float[np.ndarray, 'cells classes'], premises: Rules, conclusions: Conclusions) -> Rules:
    """The gradient of `_error` with respect to the premises."""
    firing, widths = _firing(x, premises), np.exp(premises.log_widths)
    said = np.einsum('nf,rfk->nrk', _inputs(x), conclusions)
    outputs = np.einsum('nr,nrk->nk', firing, said)
    to_firing = np.einsum('nk,nrk->nr', outputs - target, said)
    to_exponent = firing * (to_firing - (firing * to_firing).sum(1, keepdims=True))  # through the softmax
    z = (x[:, None] - premises.centers) / widths
    return Rules(np.einsum('nr,nrf->rf', to_exponent, z / widths), np.einsum('nr,nrf->rf', to_exponent, z**2))
