"""Tests of two classifiers on the same cells or folds: a difference beyond chance, or none."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Float


class McNemar(NamedTuple):
    """Numbers of cells that one classifier got right and the other wrong."""

    only_first: int
    only_second: int
    p: float  # two-sided


class TTest(NamedTuple):
    """A t-test over folds."""

    t: float
    degrees_of_freedom: int
    p: float  # two-sided


def mcnemar(first: Bool[np.ndarray, ' cells'], second: Bool[np.ndarray, ' cells']) -> McNemar:
    """Compare two classifiers by which cells each got right, with McNemar's exact test (1947, Psychometrika 12:153).

    It takes every cell as independent, so p is too small where cells of one slide resemble each other.
    """
    ahead, behind = int((first & ~second).sum()), int((second & ~first).sum())
    p = float(scipy.stats.binomtest(ahead, ahead + behind).pvalue) if ahead + behind else 1.0
    return McNemar(ahead, behind, p)


def mcnemar_by_file(first: Mapping[str, bool], second: Mapping[str, bool]) -> McNemar | None:
    """`mcnemar` of the files that each got right; None if the files are not the same."""
    if first.keys() != second.keys():
        return None
    return mcnemar(*(np.array([correct[file] for file in first]) for correct in (first, second)))


def corrected_t_test(differences: Float[np.ndarray, ' folds'], test_train_ratio: float) -> TTest:
    """Test whether the differences of two classifiers over the folds of a repeated cross-validation have mean 0.

    `test_train_ratio` is the number of test cells over that of training cells of a fold: training sides overlap, so
    the variance of the mean is not 1/folds but 1/folds + test_train_ratio of that of a fold (Nadeau & Bengio 2003,
    Mach. Learn. 52:239; Bouckaert & Frank 2004). Raises ValueError for fewer than two folds.
    """
    count = len(differences)
    if count < 2:
        raise ValueError(f'{count} folds have no variance; a t-test needs two or more')
    mean, variance = differences.mean(), differences.var(ddof=1)
    if np.isclose(variance, 0, atol=1e-15):
        same = bool(np.isclose(mean, 0))
        return TTest(0.0 if same else float(np.copysign(np.inf, mean)), count - 1, 1.0 if same else 0.0)
    t = float(mean / np.sqrt((1 / count + test_train_ratio) * variance))
    return TTest(t, count - 1, float(2 * scipy.stats.t.sf(abs(t), count - 1)))


def holm(p: Sequence[float]) -> list[float]:
    """Return p values adjusted for the number of comparisons (Holm 1979, Scand. J. Stat. 6:65), in the given order."""
    adjusted, least = [0.0] * len(p), 0.0
    for rank, place in enumerate(np.argsort(p, kind='stable')):
        least = max(least, min(1.0, (len(p) - rank) * float(p[place])))
        adjusted[place] = least
    return adjusted
