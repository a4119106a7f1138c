"""Fuzzy c-means against its published equations, written out, and against k-means."""

import itertools

import numpy as np
import pytest
from sklearn.cluster import KMeans

from alljax.baselines.fuzzy_clustering import fuzzy_c_means, memberships, spread

POINTS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [5.0, 5.0], [6.0, 5.0], [3.0, 2.0]])
START = np.array([[0.0, 0.0], [5.0, 5.0]])


def by_the_book(points, centers, m):
    """One round of Bezdek 1981: equation by equation, a number at a time."""
    u = np.zeros((len(points), len(centers)))
    for j, x in enumerate(points):
        distances = [np.sqrt(((x - v) ** 2).sum()) for v in centers]
        for i in range(len(centers)):
            if 0 in distances:
                u[j, i] = float(distances[i] == 0)
            else:
                u[j, i] = 1 / sum((distances[i] / d) ** (2 / (m - 1)) for d in distances)
    moved = np.zeros_like(centers)
    for i in range(len(centers)):
        moved[i] = sum(u[j, i] ** m * x for j, x in enumerate(points)) / sum(u[j, i] ** m for j in range(len(points)))
    return u, moved


@pytest.mark.parametrize('m', [1.5, 2.0, 3.0])
def test_each_round_is_the_published_one(m):
    centers = START
    for rounds in (1, 2, 3):
        shares, centers = by_the_book(POINTS, centers, m)
        found = fuzzy_c_means(POINTS, START, fuzziness=m, most=rounds, tolerance=0.0)
        np.testing.assert_allclose(found.centers, centers, atol=1e-12)
    np.testing.assert_allclose(memberships(POINTS, START, m), by_the_book(POINTS, START, m)[0], atol=1e-12)
    assert shares.shape == (6, 2)


def test_a_worked_example():
    # 0 and 4 with centers at 0 and 4, and 1: u = 1 / (1 + (1/3)^2) = 0.9 of the first
    shares = memberships(np.array([[0.0], [4.0], [1.0]]), np.array([[0.0], [4.0]]))
    np.testing.assert_allclose(shares, [[1, 0], [0, 1], [0.9, 0.1]], atol=1e-12)
    # its first center: (1^2 * 0 + 0.9^2 * 1) / (1^2 + 0.9^2)
    found = fuzzy_c_means(np.array([[0.0], [4.0], [1.0]]), np.array([[0.0], [4.0]]), most=1)
    assert found.centers[0, 0] == pytest.approx(0.81 / 1.81)
    assert found.centers[1, 0] == pytest.approx((4 + 0.01) / 1.01)


def test_in_the_hard_limit_it_is_k_means():
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(center, 1, (40, 3)) for center in (0.0, 3.0, 8.0)])
    start = spread(points, 3)
    hard = KMeans(3, init=start, n_init=1, tol=0).fit(points)
    soft = fuzzy_c_means(points, start, fuzziness=1.001, tolerance=1e-9, most=500)
    np.testing.assert_allclose(soft.centers, hard.cluster_centers_, atol=1e-3)
    np.testing.assert_array_equal(soft.memberships.argmax(1), hard.labels_)
    fuzzy = fuzzy_c_means(points, start, fuzziness=2.0)
    assert np.abs(fuzzy.centers - hard.cluster_centers_).max() > 0.01


def test_a_weight_is_a_number_of_points():
    times = np.array([1, 2, 3, 1, 2, 1])
    repeated = fuzzy_c_means(np.repeat(POINTS, times, 0), START, tolerance=1e-12)
    weighted = fuzzy_c_means(POINTS, START, weights=times.astype(float), tolerance=1e-12)
    np.testing.assert_allclose(weighted.centers, repeated.centers, atol=1e-9)


def test_it_lowers_what_it_minimizes():
    def cost(found, m=2.0):
        squared = ((POINTS[:, None] - found.centers[None]) ** 2).sum(-1)
        return (memberships(POINTS, found.centers) ** m * squared).sum()

    costs = [cost(fuzzy_c_means(POINTS, START, most=rounds, tolerance=0.0)) for rounds in range(1, 8)]
    assert all(after <= before + 1e-12 for before, after in itertools.pairwise(costs))


def test_what_cannot_be_is_told():
    with pytest.raises(ValueError, match='fuzziness is 1'):
        fuzzy_c_means(POINTS, START, fuzziness=1.0)


def test_the_start_is_the_same_each_time_and_between_the_points():
    first, again = spread(POINTS, 2), spread(POINTS, 2)
    np.testing.assert_array_equal(first, again)
    assert set(map(tuple, np.round(first, 6))) == {(0.333333, 0.333333), (4.666667, 4.0)}
    assert spread(np.zeros((4, 2)), 3).tolist() == [[0, 0]] * 3
