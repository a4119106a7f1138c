"""The weights of models in an average, by what each says of cells that did not train it."""

import numpy as np
from jaxtyping import Float, Integer

CHOOSE = ('average', 'best', 'all')
ROUNDS = 25  # of the greedy selection: weights are multiples of 1 over the best number of rounds
LEAST = 1e-3  # probability below which a class costs no more: neighbors that vote give some classes exactly none

Table = Float[np.ndarray, 'candidates cells classes']
Labels = Integer[np.ndarray, ' cells']
Weights = Float[np.ndarray, ' candidates']


def log_loss(probabilities: Float[np.ndarray, 'cells classes'], labels: Labels) -> float:
    """The mean of -log of the right class's probability, of each class first, so that rare classes count as much.

    It takes the place of macro recall in the choice: a few hundred cells of a few slides give recalls that are equal or
    differ by chance, while the loss also tells a sure answer from a lucky one.
    """
    losses = -np.log(np.maximum(probabilities[np.arange(len(labels)), labels], LEAST))
    return float(np.mean([losses[labels == label].mean() for label in np.unique(labels)]))


def weights(table: Table, labels: Labels, choose: str, most: int) -> Weights:
    """The weight of each candidate, of sum 1, from its probabilities of the cells.

    'all' weighs all alike and 'best' takes the one of the least loss. 'average' adds one candidate after the other, any
    of them more than once, that which leaves the average with the least loss, and keeps the best average on the way
    (Caruana et al. 2004); it begins with the best one, so it is never worse on these cells. At most `most` candidates
    get a weight.
    """
    count = len(table)
    if choose == 'all':
        return np.full(count, 1 / count)
    first = int(np.argmin([log_loss(one, labels) for one in table]))
    if choose == 'best':
        return np.eye(count)[first]
    picked, total = [first], table[first].copy()
    losses = [log_loss(total, labels)]
    while len(picked) < ROUNDS:
        allowed = sorted(set(picked)) if len(set(picked)) >= most else range(count)
        loss, place = min((log_loss((total + table[one]) / (len(picked) + 1), labels), one) for one in allowed)
        picked.append(place)
        total += table[place]
        losses.append(loss)
    kept = picked[: int(np.argmin(losses)) + 1]
    found: Weights = np.bincount(kept, minlength=count) / len(kept)
    return found
