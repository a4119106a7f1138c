"""95% intervals of accuracies and other measures: for independent cells, and for cells that come in groups."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats

from alljax.evaluation import metrics

Measure = Callable[[np.ndarray], np.ndarray]  # confusion matrices [draws, classes, classes] to [draws]


def wilson(successes: int | np.integer, n: int | np.integer, level: float = 0.95) -> list[float]:
    """Return Wilson's score interval [low, high] of a proportion, as fractions of 1.

    It takes every cell as independent, so it is too narrow where cells of one slide resemble each other. Raises
    ValueError for n = 0. Source: Wilson 1927, J. Am. Stat. Assoc. 22:209.
    """
    if n < 1:
        raise ValueError(f'n is {n}: an interval needs at least one cell')
    interval = stats.binomtest(successes, n).proportion_ci(confidence_level=level, method='wilson')
    return [float(interval.low), float(interval.high)]


def accuracy_bootstrap(
    correct: Bool[np.ndarray, ' cells'],
    groups: Int[np.ndarray, ' cells'],
    *,
    seed: int = 0,
    samples: int = 2000,
    level: float = 0.95,
) -> list[float] | None:
    """Return the interval of the accuracy of `correct` cells by `group_bootstrap`."""
    matrices = confusion_by_group(np.ones(len(correct), int), correct.astype(int), groups, 2)
    return group_bootstrap(matrices, lambda m: m[..., 1, 1] / m.sum((-2, -1)), seed=seed, samples=samples, level=level)


def confusion_by_group(
    labels: Int[np.ndarray, ' cells'],
    predictions: Int[np.ndarray, ' cells'],
    groups: Int[np.ndarray, ' cells'],
    classes: int,
) -> Int[np.ndarray, 'groups {classes} {classes}']:
    """Return a confusion matrix (rows = true classes) of each group that has cells, in the order of the groups.

    Raises ValueError for a label or prediction outside 0 … classes - 1.
    """
    metrics.check_labels(labels, predictions, classes)
    _, member = np.unique(groups, return_inverse=True)
    matrices = np.zeros((member.max(initial=-1) + 1, classes, classes), np.int64)
    np.add.at(matrices, (member, labels, predictions), 1)
    return matrices


def group_bootstrap(
    matrices: Int[np.ndarray, 'groups classes classes'],
    measure: Measure,
    *,
    seed: int = 0,
    samples: int = 2000,
    level: float = 0.95,
) -> list[float] | None:
    """Return the percentile interval [low, high] of a measure when whole groups are drawn with replacement.

    None where there are fewer than two groups: nothing varies between them, so no interval can be had; and where the
    measure is undefined in most draws. With few groups the interval is too narrow, and where every cell is right (or
    wrong) it shrinks to a point; Wilson's does not. Source: the cluster bootstrap of Davison & Hinkley 1997, section
    3.8.
    """
    drawn = _drawn(matrices, seed, samples)
    return None if drawn is None else _percentiles(measure(drawn), level)


def group_bootstrap_difference(
    first: Int[np.ndarray, 'groups classes classes'],
    second: Int[np.ndarray, 'others classes classes'],
    measure: Measure,
    *,
    seed: int = 0,
    samples: int = 2000,
    level: float = 0.95,
) -> list[float] | None:
    """Return the interval of measure(first) - measure(second), the groups of each drawn apart from the other's.

    Where both hold the same cells this is too wide, for what is hard for one is hard for the other.
    """
    drawn_first, drawn_second = _drawn(first, seed, samples), _drawn(second, seed + 1, samples)
    if drawn_first is None or drawn_second is None:
        return None
    return _percentiles(measure(drawn_first) - measure(drawn_second), level)


def _drawn(
    matrices: Int[np.ndarray, 'groups classes classes'], seed: int, samples: int
) -> Int[np.ndarray, '{samples} classes classes'] | None:
    """The sum over as many groups as there are, drawn with replacement, for each sample."""
    count = len(matrices)
    if count < 2:
        return None
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=samples)
    return np.einsum('sg,gij->sij', times, matrices)


def _percentiles(values: Float[np.ndarray, ' samples'], level: float) -> list[float] | None:
    defined = values[~np.isnan(values)]
    if len(defined) < len(values) / 2:
        return None
    return [float(bound) for bound in np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])]
