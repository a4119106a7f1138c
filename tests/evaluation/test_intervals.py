import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alljax.evaluation import intervals, metrics


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
    assert intervals.accuracy_bootstrap(correct, np.arange(400)) == pytest.approx(intervals.wilson(360, 400), abs=0.01)


def test_bootstrap_is_wider_when_mistakes_cluster_in_groups():
    groups = np.repeat(np.arange(20), 10)
    spread = np.arange(200) % 10 != 0  # one mistake in every group
    clustered = groups >= 2  # as many mistakes, all in two groups
    assert spread.sum() == clustered.sum()
    narrow, wide = intervals.accuracy_bootstrap(spread, groups), intervals.accuracy_bootstrap(clustered, groups)
    assert narrow == [0.9, 0.9]
    assert wide[1] - wide[0] > 0.2
    independent = intervals.wilson(180, 200)
    assert wide[1] - wide[0] > 2 * (independent[1] - independent[0])


def test_bootstrap_counts_cells_and_not_groups():
    # 1 wrong group of 1 cell against 9 right groups of 100: even a draw rich in the wrong group is mostly right
    groups = np.concatenate([[0], np.repeat(np.arange(1, 10), 100)])
    low, high = intervals.accuracy_bootstrap(groups > 0, groups)
    assert 0.99 < low <= high == 1


def test_bootstrap_is_one_number_per_seed():
    correct, groups = np.arange(90) % 7 > 0, np.arange(90) // 4
    first, again, other = (intervals.accuracy_bootstrap(correct, groups, seed=seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_bootstrap_of_one_group_is_none():
    assert intervals.accuracy_bootstrap(np.array([True, False, True]), np.array([7, 7, 7])) is None
    assert intervals.accuracy_bootstrap(np.array([], dtype=bool), np.array([], dtype=int)) is None


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-5, 10**6)), min_size=2, max_size=40))
def test_bootstrap_lies_between_the_worst_and_the_best_group(cells):
    correct, groups = np.array([c for c, _ in cells]), np.array([g for _, g in cells])
    found = intervals.accuracy_bootstrap(correct, groups, samples=100)
    if found is not None:
        each = [correct[groups == group].mean() for group in np.unique(groups)]
        assert min(each) - 1e-9 <= found[0] <= found[1] <= max(each) + 1e-9


def test_by_group_counts_every_cell_once():
    labels, predictions = np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0])
    matrices = intervals.confusion_by_group(labels, predictions, np.array([7, 3, 3, 7, 7]), 2)
    assert matrices.tolist() == [[[0, 1], [0, 1]], [[1, 0], [1, 1]]]  # groups 3 and 7
    with pytest.raises(ValueError, match=r'0 … 1, found -1'):  # which would count as the last class
        intervals.confusion_by_group(labels - 1, predictions, labels, 2)


def test_by_group_adds_up_to_the_confusion_matrix_of_all():
    rng = np.random.default_rng(0)
    labels, predictions, groups = rng.integers(0, 3, 90), rng.integers(0, 3, 90), rng.integers(0, 9, 90)
    matrices = intervals.confusion_by_group(labels, predictions, groups, 3)
    np.testing.assert_array_equal(matrices.sum(0), metrics.confusion(labels, predictions, 3))
    for group, matrix in zip(np.unique(groups), matrices, strict=True):
        its = groups == group
        np.testing.assert_array_equal(matrix, metrics.confusion(labels[its], predictions[its], 3))


def test_any_measure_has_the_interval_of_a_plain_loop():
    rng = np.random.default_rng(0)
    matrices = rng.integers(0, 9, (12, 3, 3))
    of = metrics.OVERALL['macro_precision']
    values = [of(matrices[rng.integers(0, 12, 12)].sum(0)) for _ in range(4000)]
    expected = np.quantile(values, [0.025, 0.975])
    np.testing.assert_allclose(intervals.group_bootstrap(matrices, of, samples=4000), expected, atol=0.01)


def test_an_interval_of_what_is_undefined_is_none():
    matrices = np.zeros((5, 2, 2), int)
    matrices[:, 0, 0] = 3  # nothing is ever called the second class
    second = partial(metrics.compute, measure='per_class.b.precision', names=['a', 'b'])
    assert intervals.group_bootstrap(matrices, second) is None
    assert intervals.group_bootstrap(matrices[:1], metrics.OVERALL['accuracy']) is None


def test_a_clear_difference_excludes_zero_and_none_includes_it():
    rng = np.random.default_rng(1)
    good = np.stack([np.diag(rng.integers(5, 9, 3)) for _ in range(10)])
    bad = good + rng.integers(3, 6, (10, 3, 3))
    of = metrics.OVERALL['accuracy']
    low, high = intervals.group_bootstrap_difference(good, bad, of)
    assert 0 < low < high
    assert low < of(good.sum(0)) - of(bad.sum(0)) < high
    low, high = intervals.group_bootstrap_difference(bad, bad, of)
    assert low < 0 < high
    assert intervals.group_bootstrap_difference(good[:1], bad, of) is None
