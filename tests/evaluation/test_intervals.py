import tracemalloc
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from alljax.evaluation import intervals, metrics


def dense(counts):
    """The matrix of each group."""
    matrices = np.zeros((counts.groups, counts.classes, counts.classes), int)
    matrices[tuple(counts.entries.T)] = counts.counts
    return matrices


def sparse(matrices):
    """The counts of a matrix for each group."""
    entries = np.argwhere(matrices)
    return intervals.GroupedCounts(entries, matrices[tuple(entries.T)], len(matrices), matrices.shape[-1])


@given(st.integers(1, 5000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipy_s(counts):
    expected = binomtest(*counts).proportion_ci(method='wilson')
    assert intervals.wilson(*counts) == pytest.approx([expected.low, expected.high], abs=1e-12)


def test_wilson_does_not_shrink_to_a_point_when_all_are_right():
    low, high = intervals.wilson(130, 130)
    assert high == pytest.approx(1)
    assert low == pytest.approx(130 / (130 + 1.959963984540054**2))


def test_wilson_widens_with_the_level():
    assert intervals.wilson(90, 100, 0.99)[0] < intervals.wilson(90, 100, 0.95)[0]


def test_a_point_is_no_interval():
    assert intervals.of_groups([0.5, 0.5]) is intervals.of_groups(None) is None
    assert intervals.of_groups([0.5, 0.6]) == [0.5, 0.6]
    assert intervals.quoted({'bootstrap_groups': [1.0, 1.0], 'wilson': [0.8, 1.0]}) == [0.8, 1.0]


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
    counts = intervals.confusion_by_group(labels, predictions, np.array([7, 3, 3, 7, 7]), 2)
    assert dense(counts).tolist() == [[[0, 1], [0, 1]], [[1, 0], [1, 1]]]  # groups 3 and 7
    with pytest.raises(ValueError, match=r'0 … 1, found -1'):  # which would count as the last class
        intervals.confusion_by_group(labels - 1, predictions, labels, 2)


def test_by_group_adds_up_to_the_confusion_matrix_of_all():
    rng = np.random.default_rng(0)
    labels, predictions, groups = rng.integers(0, 3, 90), rng.integers(0, 3, 90), rng.integers(0, 9, 90)
    counts = intervals.confusion_by_group(labels, predictions, groups, 3)
    np.testing.assert_array_equal(counts.total(), metrics.confusion(labels, predictions, 3))
    for group, matrix in zip(np.unique(groups), dense(counts), strict=True):
        its = groups == group
        np.testing.assert_array_equal(matrix, metrics.confusion(labels[its], predictions[its], 3))


def test_any_measure_has_the_interval_of_a_plain_loop():
    rng = np.random.default_rng(0)
    matrices = rng.integers(0, 9, (12, 3, 3))
    of = metrics.OVERALL['macro_precision']
    values = [of(matrices[rng.integers(0, 12, 12)].sum(0)) for _ in range(4000)]
    expected = np.quantile(values, [0.025, 0.975])
    np.testing.assert_allclose(intervals.group_bootstrap(sparse(matrices), of, samples=4000), expected, atol=0.01)


def test_an_interval_of_what_is_undefined_is_none():
    matrices = np.zeros((5, 2, 2), int)
    matrices[:, 0, 0] = 3  # nothing is ever called the second class
    second = partial(metrics.compute, measure='per_class.b.precision', names=['a', 'b'])
    assert intervals.group_bootstrap(sparse(matrices), second) is None
    assert intervals.group_bootstrap(sparse(matrices[:1]), metrics.OVERALL['accuracy']) is None


def test_a_clear_difference_excludes_zero_and_none_includes_it():
    rng = np.random.default_rng(1)
    good = np.stack([np.diag(rng.integers(5, 9, 3)) for _ in range(10)])
    bad = good + rng.integers(3, 6, (10, 3, 3))
    of = metrics.OVERALL['accuracy']
    low, high = intervals.group_bootstrap_difference(sparse(good), sparse(bad), of)
    assert 0 < low < high
    assert low < of(good.sum(0)) - of(bad.sum(0)) < high
    low, high = intervals.group_bootstrap_difference(sparse(bad), sparse(bad), of)
    assert low < 0 < high
    assert intervals.group_bootstrap_difference(sparse(good[:1]), sparse(bad), of) is None


def test_a_paired_difference_draws_the_same_groups_for_both():
    rng = np.random.default_rng(2)
    first, second = rng.integers(0, 9, (2, 12, 3, 3))
    of = metrics.OVERALL['accuracy']
    found = intervals.group_bootstrap_difference(sparse(first), sparse(second), of, seed=4, samples=300, paired=True)
    times = np.random.default_rng(4).multinomial(12, np.full(12, 1 / 12), size=300)
    drawn = [of(np.einsum('sg,gij->sij', times, matrices)) for matrices in (first, second)]
    np.testing.assert_allclose(found, np.quantile(drawn[0] - drawn[1], [0.025, 0.975]))
    same = intervals.group_bootstrap_difference(sparse(first), sparse(first), of, paired=True)
    assert same == [0, 0]
    with pytest.raises(ValueError, match='11 and 12 groups cannot be paired'):
        intervals.group_bootstrap_difference(sparse(first[1:]), sparse(second), of, paired=True)


@pytest.mark.parametrize(('classes', 'cells', 'groups'), [(2, 40, 40), (4, 300, 21), (23, 500, 60)])
@pytest.mark.parametrize('at_once', [2**22, 100])
def test_marginals_of_batches_give_the_interval_of_whole_matrices_to_the_last_bit(
    classes, cells, groups, at_once, monkeypatch
):
    monkeypatch.setattr(intervals, 'AT_ONCE', at_once)
    rng = np.random.default_rng(classes)
    labels, predictions = rng.integers(0, classes, cells), rng.integers(0, classes, cells)
    counts = intervals.confusion_by_group(labels, predictions, rng.integers(0, groups, cells), classes)
    matrices = dense(counts)
    times = np.random.default_rng(3).multinomial(len(matrices), np.full(len(matrices), 1 / len(matrices)), size=200)
    drawn = np.einsum('sg,gij->sij', times, matrices)
    for measure in metrics.OVERALL.values():
        values = measure(drawn)
        expected = np.quantile(values[~np.isnan(values)], [(1 - 0.95) / 2, (1 + 0.95) / 2]).tolist()
        assert intervals.group_bootstrap(counts, measure, seed=3, samples=200) == expected


def test_the_memory_of_a_bootstrap_does_not_grow_with_the_classes_squared_or_the_draws():
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, 300, 3000), rng.integers(0, 300, 3000)
    tracemalloc.start()
    counts = intervals.confusion_by_group(labels, predictions, np.arange(3000), 300)
    intervals.group_bootstrap(counts, metrics.OVERALL['macro_f1'], samples=100)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5e7  # the matrices of all groups would take 2 GB, and 72 MB those of the draws


def test_very_many_groups_are_drawn_by_their_content():
    rng = np.random.default_rng(0)
    cells = 30_000
    labels = rng.integers(0, 4, cells)
    predictions = np.where(rng.random(cells) < 0.7, labels, rng.integers(0, 4, cells))
    counts = intervals.confusion_by_group(labels, predictions, rng.permutation(cells), 4)
    kinds, alike = intervals._kinds(counts)
    assert (kinds.groups, alike.sum()) == (16, cells)
    whole = (dense(kinds) * alike[:, None, None]).sum(0)
    np.testing.assert_array_equal(whole, counts.total())
    found = intervals.group_bootstrap(counts, metrics.OVERALL['accuracy'])
    expected = intervals.wilson((labels == predictions).sum(), cells)
    np.testing.assert_allclose(found, expected, atol=5e-4)
    pairs = intervals.confusion_by_group(labels, predictions, np.arange(cells) // 2, 4)
    kinds, alike = intervals._kinds(pairs)
    assert alike.sum() == cells // 2
    np.testing.assert_array_equal((dense(kinds) * alike[:, None, None]).sum(0), pairs.total())
