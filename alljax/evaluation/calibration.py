"""Calibrated probabilities, sets of classes that hold the right one, and the confidence from which an answer is given.

All three are measured on cells that did not train the model, of groups (slides or patients) that it never saw.
"""

from typing import Any, NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Float, Integer

from alljax.evaluation import metrics
from alljax.storage.calibration_record import Calibration

COVERAGE, ACCURACY = 0.9, 0.95
FEWEST = 10  # cells whose accuracy may stand for that of others
TINY = 1e-12

Probabilities = Float[np.ndarray, 'cells classes']
Labels = Integer[np.ndarray, ' cells']


def fitted(
    probabilities: Probabilities,
    labels: Labels,
    groups: Integer[np.ndarray, ' cells'],
    source: str,
    *,
    coverage: float = COVERAGE,
    accuracy: float = ACCURACY,
) -> Calibration:
    """The calibration of a model by what it says of cells that did not train it; `source` says which these are.

    ValueError without cells.
    """
    if not len(labels):
        raise ValueError('a calibration needs cells that did not train the model; found none')
    plain = Calibration(1.0, coverage, 0.0, accuracy, None, len(labels), len(np.unique(groups)), source)
    return at_temperature(plain, temperature(probabilities, labels), probabilities, labels, groups)


def at_temperature(
    known: Calibration,
    temperature: float,
    probabilities: Probabilities,
    labels: Labels,
    groups: Integer[np.ndarray, ' cells'],
) -> Calibration:
    """A calibration with another temperature, and with the sets and the confidence that these cells give with it."""
    shares = tempered(probabilities, temperature)
    return known._replace(
        temperature=temperature,
        least=least_probability(shares[np.arange(len(labels)), labels], groups, known.coverage),
        certain=least_confidence(shares.max(1), shares.argmax(1) == labels, known.accuracy),
    )


def temperature(probabilities: Probabilities, labels: Labels) -> float:
    """The number that logits are divided by for the least log loss (Guo et al. 2017), from 1/20 to 20."""

    def loss(log_temperature: float) -> float:
        return log_loss(tempered(probabilities, float(np.exp(log_temperature))), labels)

    return float(np.exp(scipy.optimize.minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method='bounded').x))


def log_loss(probabilities: Probabilities, labels: Labels) -> float:
    """The mean of -log of the probability of each cell's own class."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(labels)), labels], TINY)).mean())


def tempered(probabilities: Probabilities, temperature: float) -> Probabilities:
    """The probabilities of the same logits, divided by a temperature; a class without a chance keeps none."""
    powers = (probabilities / probabilities.max(1, keepdims=True)) ** (1 / temperature)
    return powers / powers.sum(1, keepdims=True)


def as_said(probabilities: Probabilities, known: Calibration | None) -> Probabilities:
    """The probabilities as a model is to say them: tempered if it is calibrated, else the very same."""
    return probabilities if known is None else tempered(probabilities, known.temperature)


def least_probability(
    of_label: Float[np.ndarray, ' cells'], groups: Integer[np.ndarray, ' cells'], coverage: float
) -> float:
    """The probability from which a class belongs to the set, so that the right class does with the wanted coverage.

    `of_label` is the probability of each cell's own class. The promise is for a cell of a new group, so every group
    counts once, however many cells it has, and the new one counts too (Lee, Barber & Willett 2023, hierarchical
    conformal prediction). 0, which lets every class in, where there are too few groups for the coverage: 9 at 90 %.
    """
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.argsort(-of_label, kind='stable')
    weights = (1 / ((len(sizes) + 1) * sizes))[number][order]
    reached = np.flatnonzero(np.cumsum(weights) >= coverage - 1e-9)
    return float(of_label[order][reached[0]]) if len(reached) else 0.0


def sets(probabilities: Probabilities, calibration: Calibration) -> Bool[np.ndarray, 'cells classes']:
    """The set of classes of each cell, by its calibrated probabilities; it holds the most probable one at least."""
    best = np.eye(probabilities.shape[1], dtype=bool)[probabilities.argmax(1)]
    return best | (probabilities >= calibration.least)


def least_confidence(
    confidence: Float[np.ndarray, ' cells'], right: Bool[np.ndarray, ' cells'], accuracy: float
) -> float | None:
    """The smallest confidence from which answers reached the accuracy; None if none of 10 or more cells did."""
    order = np.argsort(-confidence, kind='stable')
    ordered = confidence[order]
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    last_of_its_kind = np.append(ordered[1:] < ordered[:-1], True)
    enough = np.arange(1, len(order) + 1) >= FEWEST
    reached = np.flatnonzero((share >= accuracy) & last_of_its_kind & enough)
    return float(ordered[reached[-1]]) if len(reached) else None


def certain(probabilities: Probabilities, calibration: Calibration) -> Bool[np.ndarray, ' cells']:
    """True for cells whose calibrated confidence reaches that from which the model answers."""
    if calibration.certain is None:
        return np.zeros(len(probabilities), bool)
    return probabilities.max(1) >= calibration.certain


class Calibrated(NamedTuple):
    """The statements of a calibrated model about cells."""

    probabilities: Probabilities  # after the temperature
    before: Float[np.ndarray, ' cells']  # probability of the predicted class before it
    sets: Bool[np.ndarray, 'cells classes']
    certain: Bool[np.ndarray, ' cells']


def applied(probabilities: Probabilities, calibration: Calibration) -> Calibrated:
    """The calibrated statements that follow from probabilities as a model gives them."""
    shares = tempered(probabilities, calibration.temperature)
    return Calibrated(shares, probabilities.max(1), sets(shares, calibration), certain(shares, calibration))


class Answers(NamedTuple):
    """Cells whose class is known, with the statements of a calibrated model about each."""

    right: Bool[np.ndarray, ' cells']  # the most probable class is the cell's own
    before: Float[np.ndarray, ' cells']  # confidence before the temperature
    after: Float[np.ndarray, ' cells']
    covered: Bool[np.ndarray, ' cells']  # the own class is in the set
    sizes: Integer[np.ndarray, ' cells']  # of the sets
    certain: Bool[np.ndarray, ' cells']
    groups: Integer[np.ndarray, ' cells']


def answers(said: Calibrated, labels: Labels, groups: Integer[np.ndarray, ' cells']) -> Answers:
    """The statements about cells, beside what they are."""
    shares, own = said.probabilities, np.arange(len(labels))
    return Answers(
        right=shares.argmax(1) == labels,
        before=said.before,
        after=shares.max(1),
        covered=said.sets[own, labels],
        sizes=said.sets.sum(1),
        certain=said.certain,
        groups=groups,
    )


def measured(found: Answers, coverage: float) -> dict[str, Any]:
    """The success of a calibration on cells that had no part in it, as JSON-safe numbers; shares are fractions of 1.

    `coverage` is the one that was wanted of the sets, which is promised on average over groups.
    """
    numbers = np.unique(found.groups, return_inverse=True)[1]
    by_group = np.bincount(numbers, found.covered) / np.bincount(numbers)
    return {
        'error_before': metrics.confidence_error(found.right, found.before),
        'error_after': metrics.confidence_error(found.right, found.after),
        'covered': float(found.covered.mean()),
        'covered_by_group': {
            'mean': float(by_group.mean()),
            'lowest': float(by_group.min()),
            'groups': len(by_group),
            'groups_that_reach_it': int((by_group >= coverage - 1e-9).sum()),
        },
        'set_size': float(found.sizes.mean()),
        'answered': float(found.certain.mean()),
        'accuracy_of_answered': float(found.right[found.certain].mean()) if found.certain.any() else None,
    }
