"""Fuzzy c-means: clusters to which every point belongs by a degree (Bezdek 1981)."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Points = Float[np.ndarray, 'points coordinates']
Centers = Float[np.ndarray, 'clusters coordinates']


class Clusters(NamedTuple):
    """The centers of clusters, and the share of each point that is theirs."""

    centers: Centers
    memberships: Float[np.ndarray, 'points clusters']  # of each point, summing to 1


def fuzzy_c_means(
    points: Points,
    start: Centers,
    *,
    fuzziness: float = 2.0,
    weights: Float[np.ndarray, ' points'] | None = None,
    tolerance: float = 1e-4,
    most: int = 100,
) -> Clusters:
    """Clusters that minimize the sum of u^m |x - c|^2, from the centers in `start`.

    `fuzziness` is m > 1: towards 1 the memberships become those of k-means. A point of weight 3 counts as three points.
    Ends when no center moves by more than `tolerance`, or after `most` rounds. ValueError for m of 1 or less.
    """
    if fuzziness <= 1:
        raise ValueError(f'fuzziness is {fuzziness}: it has to be more than 1')
    centers = np.asarray(start, float)
    weight = np.ones(len(points)) if weights is None else weights
    for _ in range(most):
        strength = weight[:, None] * memberships(points, centers, fuzziness) ** fuzziness
        total = strength.sum(0)[:, None]
        moved = np.where(total > 0, strength.T @ points / np.where(total > 0, total, 1), centers)
        distance = float(np.abs(moved - centers).max())
        centers = moved
        if distance <= tolerance:
            break
    return Clusters(centers, memberships(points, centers, fuzziness))


def memberships(points: Points, centers: Centers, fuzziness: float = 2.0) -> Float[np.ndarray, 'points clusters']:
    """The share of each point that belongs to each center: 1 / sum over k of (|x - c| / |x - c_k|)^(2 / (m - 1)).

    A point on a center is that center's alone.
    """
    squared = ((points[:, None] - centers[None]) ** 2).sum(-1)
    nearest = squared.min(1, keepdims=True)
    # relative to the nearest center, so that no power overflows
    ratio = np.divide(nearest, squared, out=(squared == nearest).astype(float), where=squared > 0)
    share = ratio ** (1 / (fuzziness - 1))
    return share / share.sum(1, keepdims=True)


def spread(points: Points, count: int, weights: Float[np.ndarray, ' points'] | None = None) -> Centers:
    """Centers to start from without a draw: the means of `count` equal parts of the points along their main axis."""
    weight = np.ones(len(points)) if weights is None else weights
    middle = np.average(points, axis=0, weights=weight)
    _, axes = np.linalg.eigh(np.atleast_2d(np.cov(points.T, aweights=weight, bias=True)))
    along = (points - middle) @ axes[:, -1]
    order = np.argsort(along * (1 if axes[np.abs(axes[:, -1]).argmax(), -1] > 0 else -1), kind='stable')
    share = (np.cumsum(weight[order]) - weight[order] / 2) / weight.sum()
    part = np.minimum((share * count).astype(int), count - 1)
    chosen = (order[part == number] for number in range(count))
    return np.array([np.average(points[c], axis=0, weights=weight[c]) if len(c) else middle for c in chosen])
