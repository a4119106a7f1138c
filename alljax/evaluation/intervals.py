"""How far an accuracy can be trusted: one interval for independent cells, one for cells that come in groups."""

import numpy as np
from jaxtyping import Bool, Int, Shaped
from scipy import stats


def wilson(successes: int | np.integer, n: int | np.integer, level: float = 0.95) -> list[float]:
    """Return Wilson's score interval [low, high] of a proportion, as fractions of 1.

    It takes every cell as independent, so it is too narrow where cells of one slide resemble each other. Raises
    ValueError for n = 0. Source: Wilson 1927, J. Am. Stat. Assoc. 22:209.
    """
    if n < 1:
        raise ValueError(f'n is {n}: an interval needs at least one cell')
    interval = stats.binomtest(successes, n).proportion_ci(confidence_level=level, method='wilson')
    return [float(interval.low), float(interval.high)]


def bootstrap(
    correct: Bool[np.ndarray, ' cells'],
    groups: Int[np.ndarray, ' cells'],
    *,
    seed: int = 0,
    samples: int = 2000,
    level: float = 0.95,
) -> list[float] | None:
    """Return the percentile interval [low, high] of the accuracy when whole groups are drawn with replacement.

    None where there are fewer than two groups: nothing varies between them, so no interval can be had. With few groups
    the interval is too narrow, and where every cell is right (or wrong) it shrinks to a point; Wilson's does not.
    Source: the cluster bootstrap of Davison & Hinkley 1997, section 3.8.
    """
    _, member = np.unique(groups, return_inverse=True)
    sizes = np.bincount(member)
    if len(sizes) < 2:
        return None
    hits = np.bincount(member, weights=correct)
    interval = stats.bootstrap(
        (hits, sizes),
        _accuracy,
        n_resamples=samples,
        batch=100,  # thousands of single-cell groups would else need hundreds of megabytes
        vectorized=True,
        paired=True,
        confidence_level=level,
        method='percentile',
        rng=np.random.default_rng(seed),
    ).confidence_interval
    return [float(interval.low), float(interval.high)]


def _accuracy(
    hits: Shaped[np.ndarray, '*draws groups'], sizes: Shaped[np.ndarray, '*draws groups'], axis: int = -1
) -> Shaped[np.ndarray, '*draws'] | np.floating:
    return hits.sum(axis) / sizes.sum(axis)
