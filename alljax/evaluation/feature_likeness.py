"""The distance of cells from the training cells, in the features by which a model tells the classes apart.

A score is larger for a cell that is less like them; where it is too large is measured on cells that were held out.
"""

from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float, Integer

MOST = 500  # training cells that are looked at: more change little, and a model folder is to stay small
NEIGHBOR = 5  # the nearest training cell whose distance counts: nearer ones may be a cell's own repeats
PARTS = 10  # at most, of whole groups, that are left out in turn
PERCENTILE = 95  # of held-out cells: beyond their score a cell is unlike the training cells
LEAST_SHRINKAGE = 1e-3  # below it, directions in which no training cell varies would outweigh all others

Features = Float[np.ndarray, 'cells features']
Scores = Float[np.ndarray, ' cells']
Labels = Integer[np.ndarray, ' cells']


class Reference(NamedTuple):
    """The training cells as a score keeps them. Features are standardized by their mean and deviation first."""

    mean: Float[np.ndarray, ' features']
    deviation: Float[np.ndarray, ' features']
    points: Float[np.ndarray, 'points features']  # mahalanobis: the mean of each class; knn: the cells, of length 1
    directions: Float[np.ndarray, 'directions features']  # mahalanobis: of the common covariance; none for knn
    weights: Float[np.ndarray, ' weights']  # of squares along each direction, less that of all others, which is last

    def standardized(self, features: Features) -> Features:
        """Features less their mean, over their deviation."""
        found: Features = (features - self.mean) / self.deviation
        return found


def reference(score: str, features: Features, labels: Labels) -> Reference | None:
    """The training cells as 'mahalanobis' or 'knn' needs them; None for 'energy', which does not."""
    if score == 'energy':
        return None
    deviation = features.std(0)
    empty = np.zeros((0, features.shape[1]))
    plain = Reference(features.mean(0), np.where(deviation > 0, deviation, 1), empty, empty, np.zeros(0))
    rows = plain.standardized(features)
    if score == 'knn':
        return plain._replace(points=_of_length_1(rows))
    classes, place = np.unique(labels, return_inverse=True)
    means = np.stack([rows[place == number].mean(0) for number in range(len(classes))])
    directions, weights = _inverse_covariance(rows - means[place])
    return plain._replace(points=means, directions=directions, weights=weights)


def scores(score: str, known: Reference | None, features: Features) -> Scores:
    """The score of each cell; `features` are logits for 'energy'.

    mahalanobis: distance from the nearest class, under the covariance that the classes share (Lee et al. 2018). knn:
    distance from the fifth nearest training cell, of features of length 1, so 0 to 2 (Sun et al. 2022). energy: the
    negative logarithm of the sum of the exponentials of the logits (Liu et al. 2020).
    """
    if score == 'energy' or known is None:
        return -scipy.special.logsumexp(features, axis=1)
    rows = known.standardized(features)
    if score == 'knn':
        rows = _of_length_1(rows)
        nearest = min(NEIGHBOR, len(known.points)) - 1
        cosines = -np.partition(-(rows @ known.points.T), nearest, axis=1)[:, nearest]
        return np.sqrt(np.maximum(2 - 2 * cosines, 0))
    squares = []
    for point in known.points:
        away = rows - point
        along = (away @ known.directions.T) ** 2
        squares.append(known.weights[-1] * (away**2).sum(1) + along @ known.weights[:-1])
    return np.sqrt(np.maximum(np.min(squares, axis=0), 0))


def left_out_scores(score: str, features: Features, labels: Labels, groups: Labels) -> Scores:
    """The score of each training cell by the cells of other groups: each group is left out, or a tenth of many."""
    number = np.unique(groups, return_inverse=True)[1] % PARTS
    found = np.zeros(len(labels))
    for part in np.unique(number):
        left_out = number == part
        known = reference(score, features[~left_out], labels[~left_out])
        found[left_out] = scores(score, known, features[left_out])
    return found


def limit(held_out: Scores) -> float:
    """The score beyond which a cell is unlike the training cells."""
    return float(np.percentile(held_out, PERCENTILE))


def _of_length_1(rows: Features) -> Features:
    found: Features = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return found


def _inverse_covariance(
    away: Features,
) -> tuple[Float[np.ndarray, 'directions features'], Float[np.ndarray, ' weights']]:
    """The inverse covariance of rows around 0, shrunk toward a ball (Ledoit & Wolf 2004), by the directions they have.

    There may be more features than cells: across the directions the ball alone counts.
    """
    from sklearn.covariance import ledoit_wolf_shrinkage  # takes seconds

    share = max(float(ledoit_wolf_shrinkage(away, assume_centered=True)), LEAST_SHRINKAGE)
    _, values, directions = np.linalg.svd(away / np.sqrt(len(away)), full_matrices=False)
    ball = max(share * float((values**2).sum()) / away.shape[1], 1e-12)
    along = 1 / ((1 - share) * values**2 + ball) - 1 / ball
    return directions, np.append(along, 1 / ball)
