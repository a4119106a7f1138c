import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alljax.evaluation import intervals


def closed_wilson(successes, n, z=1.959963984540054):
    p = successes / n
    center = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return [center - half, center + half]


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_the_closed_formula(counts):
    assert intervals.wilson(*counts) == pytest.approx(closed_wilson(*counts), abs=1e-9)


def test_wilson_does_not_shrink_to_a_point_when_all_are_right():
    low, high = intervals.wilson(130, 130)
    assert high == pytest.approx(1)
    assert low == pytest.approx(130 / (130 + 1.959963984540054**2))


def test_wilson_widens_with_the_level():
    assert intervals.wilson(90, 100, 0.99)[0] < intervals.wilson(90, 100, 0.95)[0]


def test_wilson_needs_cells():
    with pytest.raises(ValueError, match='n'):
        intervals.wilson(0, 0)


def test_bootstrap_of_single_cells_is_close_to_wilson():
    correct = np.arange(400) % 10 != 0
    assert intervals.bootstrap(correct, np.arange(400)) == pytest.approx(intervals.wilson(360, 400), abs=0.01)


def test_bootstrap_is_wider_when_mistakes_cluster_in_groups():
    groups = np.repeat(np.arange(20), 10)
    spread = np.arange(200) % 10 != 0  # one mistake in every group
    clustered = groups >= 2  # as many mistakes, all in two groups
    assert spread.sum() == clustered.sum()
    narrow, wide = intervals.bootstrap(spread, groups), intervals.bootstrap(clustered, groups)
    assert narrow == [0.9, 0.9]
    assert wide[1] - wide[0] > 0.2
    independent = intervals.wilson(180, 200)
    assert wide[1] - wide[0] > 2 * (independent[1] - independent[0])


def test_bootstrap_counts_cells_and_not_groups():
    # 1 wrong group of 1 cell against 9 right groups of 100: even a draw rich in the wrong group is mostly right
    groups = np.concatenate([[0], np.repeat(np.arange(1, 10), 100)])
    low, high = intervals.bootstrap(groups > 0, groups)
    assert 0.99 < low <= high == 1


def test_bootstrap_is_one_number_per_seed():
    correct, groups = np.arange(90) % 7 > 0, np.arange(90) // 4
    assert intervals.bootstrap(correct, groups, seed=3) == intervals.bootstrap(correct, groups, seed=3)
    assert intervals.bootstrap(correct, groups, seed=3) != intervals.bootstrap(correct, groups, seed=4)


def test_bootstrap_of_one_group_is_none():
    assert intervals.bootstrap(np.array([True, False, True]), np.array([7, 7, 7])) is None
    assert intervals.bootstrap(np.array([], dtype=bool), np.array([], dtype=int)) is None


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-5, 10**6)), min_size=2, max_size=40))
def test_bootstrap_lies_between_the_worst_and_the_best_group(cells):
    correct, groups = np.array([c for c, _ in cells]), np.array([g for _, g in cells])
    found = intervals.bootstrap(correct, groups, samples=100)
    if found is not None:
        each = [correct[groups == group].mean() for group in np.unique(groups)]
        assert min(each) - 1e-9 <= found[0] <= found[1] <= max(each) + 1e-9
