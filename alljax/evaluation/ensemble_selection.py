"""The weights of models in an average, by what each says of cells that did not train it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer

CHOOSE = ('average', 'best', 'all')
ROUNDS = 25  # of the greedy selection: weights are multiples of 1 over the best number of rounds
LEAST = 1e-3  # probability below which a class costs no more: neighbors that vote give some classes exactly none

Shares = Float[np.ndarray, 'cells classes']
Table = Float[np.ndarray, 'candidates cells classes']
Labels = Integer[np.ndarray, ' cells']
Weights = Float[np.ndarray, ' candidates']


class Error(NamedTuple):
    """The measure of the choice; the less the better, and the second decides only where the first is equal.

    Macro recall, since votes of neighbors, support vectors and networks are sure of themselves on scales of their own:
    by its log loss a single nearest neighbor that is right in two of three cells is worse than a blind guess. A few
    hundred cells have many equal recalls, of which the log loss then takes the surest.
    """

    missed: float  # 1 less the macro recall
    log_loss: float


def log_loss(shares: Shares, labels: Labels) -> float:
    """The mean of -log of the right class's probability, of each class first, so that rare classes count as much."""
    losses = -np.log(np.maximum(shares[np.arange(len(labels)), labels], LEAST))
    return float(np.mean([losses[labels == label].mean() for label in np.unique(labels)]))


def error(shares: Shares, labels: Labels) -> Error:
    """The error of probabilities by which they are compared."""
    right = shares.argmax(1) == labels
    recall = np.mean([right[labels == label].mean() for label in np.unique(labels)])
    return Error(round(1 - float(recall), 9), log_loss(shares, labels))


def weights(table: Table, labels: Labels, choose: str, most: int) -> Weights:
    """The weight of each candidate, of sum 1, from its probabilities of the cells.

    'all' weighs all alike and 'best' takes the one of the least error. 'average' adds one candidate after the other,
    any of them more than once, that which leaves the average with the least error, and keeps the best average on the
    way (Caruana et al. 2004); it begins with the best one, so it is never worse on these cells. At most `most`
    candidates get a weight.
    """
    count = len(table)
    if choose == 'all':
        return np.full(count, 1 / count)
    least, first = min((error(one, labels), place) for place, one in enumerate(table))
    if choose == 'best':
        return np.eye(count)[first]
    picked, total, errors = [first], table[first].copy(), [least]
    while len(picked) < ROUNDS:
        allowed = sorted(set(picked)) if len(set(picked)) >= most else range(count)
        least, place = min((error((total + table[one]) / (len(picked) + 1), labels), one) for one in allowed)
        picked.append(place)
        total += table[place]
        errors.append(least)
    kept = picked[: errors.index(min(errors)) + 1]
    found: Weights = np.bincount(kept, minlength=count) / len(kept)
    return found
