"""Hyperparameters are chosen on training cells alone, by folds that separate no group."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alljax.baselines import model_selection
from alljax.baselines.classify.estimators import Hierarchy
from alljax.baselines.systems import System

CLASSES = ('L1', 'L2', 'L3', 'normal')


def cells(count=80, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 4
    values = rng.normal(size=(count, 6))
    values[np.arange(count), labels] += 2.5
    return values, labels, np.arange(count) // 4


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), groups=st.integers(2, 12), each=st.integers(4, 9))
def test_inner_folds_separate_no_group_and_train_on_every_class(seed, groups, each):
    number = np.repeat(np.arange(groups), each)
    labels = np.random.default_rng(seed).integers(0, 3, len(number))
    for train, test in model_selection.folds(labels, number, seed):
        assert not set(number[train]) & set(number[test])
        assert set(labels[train]) == set(labels)
        assert sorted([*train, *test]) == list(range(len(labels)))


@pytest.mark.filterwarnings('error')
def test_a_class_that_an_inner_fold_lacks_is_no_reason_to_warn():
    values, labels, groups = cells(60)
    labels, groups = np.where(groups < 2, labels % 2, labels % 3), groups.copy()
    system = System('otsu', ('glcm',), ('knn',))
    for its in (groups, np.where(labels == 2, 10 + groups // 8, groups)):  # few slides have the third class
        assert model_selection.fitted(system, values, labels, its, CLASSES[:3], 0).chosen['inner folds'] > 1


def test_too_few_groups_for_folds_are_said():
    values, labels, _ = cells()
    one = model_selection.fitted(System('otsu', ('glcm',), ('knn',)), values, labels, np.zeros(80, int), CLASSES, 0)
    assert 'too few groups' in one.chosen['why']
    assert one.estimator.predict(values).shape == (80,)
    assert model_selection.folds(labels, np.zeros(80, int), 0) == []


def test_groups_change_what_is_chosen():
    """Copies of each cell make one neighbor look best, unless they are kept together."""
    rng = np.random.default_rng(0)
    values, labels = rng.normal(size=(60, 4)), rng.integers(0, 2, 60)
    values = np.repeat(values, 4, 0) + rng.normal(0, 1e-3, (240, 4))
    labels = np.repeat(labels, 4)
    labels[rng.random(240) < 0.05] ^= 1
    system = System('otsu', ('glcm',), ('knn',))
    apart = model_selection.fitted(system, values, labels, np.arange(240), CLASSES[:2], 0).chosen
    together = model_selection.fitted(system, values, labels, np.repeat(np.arange(60), 4), CLASSES[:2], 0).chosen
    assert apart['inner balanced accuracy'] > 0.8
    assert together['inner balanced accuracy'] < 0.65


def test_the_best_of_several_classifiers_is_taken():
    values, labels, groups = cells()
    labels = (np.hypot(values[:, 0], values[:, 1]) < 1.2).astype(int)  # no line parts these
    found = model_selection.fitted(
        System('otsu', ('glcm',), ('knn', 'svm', 'pnn')), values, labels, groups, ('a', 'b'), 0
    )
    alone = [
        model_selection.fitted(System('otsu', ('glcm',), (name,)), values, labels, groups, ('a', 'b'), 0).chosen
        for name in ('knn', 'svm', 'pnn')
    ]
    best = max(alone, key=lambda chosen: chosen['inner balanced accuracy'])
    assert found.chosen == best


def test_components_are_as_many_as_asked():
    values, labels, groups = cells()
    found = model_selection.fitted(
        System('otsu', ('glcm',), ('svm',), components=3), values, labels, groups, CLASSES, 0
    )
    assert found.estimator.named_steps['reduce'].n_components == 3
    many = model_selection.fitted(
        System('otsu', ('glcm',), ('svm',), components=99), values, labels, groups, CLASSES, 0
    )
    assert many.estimator.named_steps['reduce'].n_components == 6


@pytest.mark.parametrize(('classes', 'levels'), [(CLASSES, 2), (('a', 'b', 'c', 'd'), 1)])
def test_the_hierarchy_is_of_normal_and_others_if_there_are_such(classes, levels):
    values, labels, groups = cells()
    system = System('otsu', ('glcm',), ('svm', 'knn', 'anfis', 'pnn'), hierarchical=True)
    found = model_selection.fitted(system, values, labels, groups, classes, 0)
    assert isinstance(found.estimator, Hierarchy) == (levels == 2)
    assert (found.estimator.predict(values) == labels).mean() > 0.85
    if levels == 2:
        assert set(found.chosen) == {'normal or not', 'which of the others'}
