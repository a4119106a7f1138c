import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
from helpers import make_cells
from hypothesis import given, settings
from hypothesis import strategies as st

from alljax.data import group_folds
from alljax.data.split import SplitOptions, class_weights, equalize, split
from alljax.errors import UserError


def options(protocol='grouped', **others):
    return SplitOptions(protocol, **others)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    groups=st.integers(6, 20),
    classes=st.integers(2, 4),
    validation=st.sampled_from([0.0, 0.2, 0.5]),
    protocol=st.sampled_from(['grouped', 'random']),
)
def test_sides_are_a_partition_and_no_group_straddles(seed, groups, classes, validation, protocol):
    rng = np.random.default_rng(seed)
    labels = np.tile(np.arange(classes), groups * 4)
    cells = make_cells(labels, np.repeat(np.arange(groups), classes * 4), size=8)
    parts = split(cells, options(protocol, validation=validation), int(rng.integers(1000)))
    sides = (parts.train, parts.validation, parts.test)
    assert sorted(np.concatenate(sides)) == list(range(len(cells)))
    assert parts.leaky == (protocol == 'random')
    for side in (parts.train, parts.test):
        assert set(cells.labels[side]) == set(range(classes))
    if protocol == 'grouped':
        sets = [set(cells.groups[side]) for side in sides]
        assert len(set.union(*sets)) == sum(map(len, sets))


def test_fraction_is_kept_in_every_class():
    cells = make_cells([0] * 100 + [1] * 50 + [2] * 150, size=8)
    parts = split(cells, options(), 3)
    for label, size in enumerate((100, 50, 150)):
        assert abs((cells.labels[parts.test] == label).sum() - 0.4 * size) <= 2


def test_the_same_seed_gives_the_same_split_and_another_another():
    cells = make_cells([0, 1] * 50, size=8)
    first, again, other = (split(cells, options(), seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.test, again.test)
    assert set(first.test) != set(other.test)


def test_groups_that_cannot_be_split_are_told():
    with pytest.raises(UserError, match='groups with a class: class1 in 1'):
        split(make_cells([0] * 20 + [1] * 5, [*range(20), *[20] * 5], size=8), options(), 0)
    with pytest.raises(UserError, match='1 groups are too few'):
        split(make_cells([0, 1] * 9, [0] * 18, size=8), options(), 0)
    with pytest.raises(UserError, match='cannot be split'):
        split(make_cells([0] * 9 + [1], size=8), options('random'), 0)


def test_equalize_makes_counts_equal_and_keeps_to_the_training_side():
    labels = np.array([0] * 10 + [1] * 4 + [2] * 7, np.int32)
    index = np.arange(1, 21)
    under, over = (equalize(labels, index, how, 0) for how in ('undersample', 'oversample'))
    assert np.bincount(labels[under]).tolist() == [4, 4, 4]
    assert len(set(under)) == 12
    assert np.bincount(labels[over]).tolist() == [9, 9, 9]
    assert set(over) == set(index)
    assert np.bincount(over)[10:14].max() <= 3
    np.testing.assert_array_equal(equalize(labels, index, 'none', 0), index)


def test_class_weights_give_every_class_the_same_say():
    labels = np.array([0] * 10 + [1] * 5, np.int32)
    weights = class_weights(labels, np.arange(15), 'weights', 2)
    assert weights[0] * 10 == pytest.approx(weights[1] * 5)
    assert weights[labels].mean() == pytest.approx(1)
    assert class_weights(labels, np.arange(15), 'none', 2).tolist() == [1, 1]


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    groups=st.integers(6, 20),
    classes=st.integers(2, 4),
    folds=st.integers(2, 5),
    protocol=st.sampled_from(['grouped', 'random']),
)
def test_every_cell_is_tested_exactly_once_in_each_repetition(seed, groups, classes, folds, protocol):
    cells = make_cells(np.tile(np.arange(classes), groups * 4), np.repeat(np.arange(groups), classes * 4), size=8)
    for repeat in range(2):
        parts = [split(cells, options(protocol, folds=folds, fold=fold, repeat=repeat), seed) for fold in range(folds)]
        assert sorted(np.concatenate([part.test for part in parts])) == list(range(len(cells)))
        for part in parts:
            assert sorted([*part.train, *part.test]) == list(range(len(cells)))
            assert set(cells.labels[part.train]) == set(range(classes))
            if protocol == 'grouped':
                assert not set(cells.groups[part.train]) & set(cells.groups[part.test])


@pytest.mark.parametrize('protocol', ['grouped', 'random'])
def test_another_repetition_draws_other_folds(protocol):
    cells = make_cells([0, 1] * 40, np.repeat(np.arange(40), 2), size=8)
    first, again, other = (split(cells, options(protocol, folds=2, fold=0, repeat=r), 0).test for r in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert set(first) != set(other)


def test_a_class_may_be_missing_from_a_test_fold_but_not_from_training():
    labels, groups = [0] * 12 + [1] * 4, [*range(12), 12, 12, 13, 13]
    parts = [split(make_cells(labels, groups, size=8), options(folds=4, fold=fold), 0) for fold in range(4)]
    assert sorted(np.concatenate([part.test for part in parts])) == list(range(16))
    with pytest.raises(UserError, match='groups with a class: class1 in 1'):
        split(make_cells([0] * 12 + [1] * 4, [*range(12), 12, 12, 12, 12], size=8), options(folds=4), 0)


def test_folds_that_cannot_be_are_told():
    with pytest.raises(UserError, match='folds is 5, but class1 has 3 cells'):
        split(make_cells([0] * 9 + [1] * 3, size=8), options('random', folds=5), 0)
    with pytest.raises(UserError, match='folds is 5, but there are 4 groups'):
        split(make_cells([0, 1] * 10, np.repeat(np.arange(4), 5), size=8), options(folds=5), 0)


@pytest.mark.parametrize(
    ('labels', 'groups', 'chosen', 'said'),
    [
        ([0] * 9 + [1], None, {}, 'class1: its one cell among the 10 cannot be split'),
        ([0] * 9 + [1], None, {'protocol': 'random'}, 'class1: its one cell among the 10'),
        ([0] * 9 + [1] * 2, None, {'test': 0.5, 'validation': 0.5}, 'set config.split.validation=0'),
        ([0, 1, 2, 3] * 2, None, {'test': 0.1}, '0.1 of 8 cells cannot be split off: it leaves 1 on one side'),
        ([0] * 9 + [1], None, {'folds': 3}, 'class1 has 1 cell; lower it, add cells'),
        ([0, 1] * 3, [0, 0, 1, 2, 3, 4], {'folds': 5}, 'no class has more than 3 of them'),
        ([0] * 9 + [1] * 2, [*range(9), 9, 9], {}, 'groups with a class: class1 in 1'),
        ([0, 1] * 4, [0] * 8, {}, '1 groups are too few'),
    ],
)
def test_too_few_cells_are_told_in_our_words(labels, groups, chosen, said):
    with pytest.raises(UserError) as caught:
        split(make_cells(labels, groups, size=8), options(**chosen), 0)
    assert said in str(caught.value)
    for word in ('n_splits', 'y has only', 'test_size', 'The least populated'):  # scikit-learn's
        assert word not in str(caught.value)


@pytest.mark.parametrize('folds', [1, 3])
def test_an_audited_pair_is_never_separated_but_by_the_paper(folds):
    cells = make_cells([0, 1] * 20, size=8, repeats=[n // 4 * 2 + n % 2 for n in range(40)])
    with pytest.raises(UserError, match=r'puts pictures of one cell on both sides \(0\d\d.png = 0\d\d.png'):
        split(cells, options('random', folds=folds), 0)
    assert split(cells, options('paper', folds=folds), 0).leaky
    grouped = make_cells([0, 1] * 20, cells.repeats, size=8, repeats=cells.repeats)
    parts = split(grouped, options(folds=folds), 0)
    assert not set(grouped.repeats[parts.train]) & set(grouped.repeats[parts.test])


def on_slides(labels, groups, grouping='patient or slide'):
    cells = make_cells(labels, groups, size=8)
    return replace(cells, origin=replace(cells.origin, grouping=grouping))


def test_each_group_is_tested_once_and_alone():
    cells = on_slides([0, 1] * 10, [0, 0, 2, 2, 3, 3, 5, 5, 6, 6] * 2)
    tested = []
    for fold in range(5):
        parts = split(cells, options('leave_one_group_out', fold=fold, validation=0.25), 0)
        sides = [set(cells.groups[side]) for side in (parts.train, parts.validation, parts.test)]
        assert len(sides[2]) == 1
        assert len(set.union(*sides)) == sum(map(len, sides)) == 5
        assert sorted(np.concatenate([parts.train, parts.validation, parts.test])) == list(range(20))
        assert not parts.leaky
        tested += list(parts.test)
    assert sorted(tested) == list(range(20))


@pytest.mark.parametrize(
    ('cells', 'fold', 'said'),
    [
        (on_slides([0, 1] * 4, [0, 0, 1, 1] * 2, 'unknown'), 0, 'patients or slides of these cells are not known'),
        (on_slides([0, 1] * 4, [0, 0, 1, 1] * 2, 'repeats only'), 0, 'groups: repeats only'),
        (on_slides([0, 1] * 4, [0, 0, 1, 1] * 2), 2, 'split.fold is 2, but there are 2 groups'),
        (on_slides([0, 0, 1], [0, 1, 2]), 2, 'only the group group2 has cells of class1'),
    ],
)
def test_a_group_that_cannot_be_left_out_is_told(cells, fold, said):
    with pytest.raises(UserError, match=said):
        split(cells, options('leave_one_group_out', fold=fold), 0)


# slides of one class each and of very different sizes, as a laboratory has them
SIZES = (40, 31, 25, 20, 14, 9, 38, 29, 22, 17, 11, 7)
SLIDES = make_cells(np.repeat([0] * 6 + [1] * 6, SIZES).tolist(), np.repeat(np.arange(12), SIZES).tolist(), size=8)


def folds_of(draw, repeat):
    tested = [split(SLIDES, options(folds=4, fold=fold, repeat=repeat, draw=draw), 0).test for fold in range(4)]
    return {frozenset(SLIDES.groups[test].tolist()) for test in tested}, np.concatenate(tested)


def test_shuffled_folds_differ_from_repetition_to_repetition():
    slides, cells = zip(*(folds_of('shuffled', repeat) for repeat in range(3)), strict=True)
    for tested, found in zip(slides, cells, strict=True):
        assert sorted(found) == list(range(len(SLIDES)))
        assert sum(map(len, tested)) == 12
        sizes = [sum(SIZES[group] for group in fold) for fold in tested]
        assert max(sizes) < 0.45 * len(SLIDES)
    assert len(slides[0] | slides[1] | slides[2]) >= 9  # of 12; the same folds thrice would be 4
    assert folds_of('shuffled', 1)[0] == slides[1]


@pytest.mark.parametrize('case', range(30))
def test_balanced_folds_are_those_of_scikit_learn(case):
    from sklearn.model_selection import StratifiedGroupKFold

    rng = np.random.default_rng(case)
    classes, folds = int(rng.integers(2, 8)), int(rng.integers(2, 9))
    groups = rng.integers(0, rng.integers(12, 60), rng.integers(100, 300)).astype(np.int32)
    labels = (groups % classes if case % 3 == 0 else rng.geometric(0.5, len(groups)).clip(max=classes) - 1).astype(
        np.int32
    )
    cells = make_cells(labels, groups, size=8)
    theirs = StratifiedGroupKFold(folds, shuffle=True, random_state=10 * case)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)  # of classes with fewer cells than folds
        asked = [second for _, second in theirs.split(labels, labels, groups)]
    ours = next(group_folds.draws(cells, np.arange(len(labels)), folds, case, 'balanced'))
    for found, expected in zip(ours, asked, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_run_by_group_does_not_wait_for_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.model_selection', None)  # whoever imports it now fails
    cells = make_cells(np.tile([0, 1], 40), np.repeat(np.arange(10), 8), size=8)
    assert len(split(cells, options(), 77).test) == 32
    assert len(split(cells, options(folds=5), 77).test) == 16
