from dataclasses import replace

import numpy as np
import pytest
from helpers import make_cells
from hypothesis import given, settings
from hypothesis import strategies as st

from alljax.data import protocol
from alljax.data.augment import Augmentation
from alljax.data.split import SplitOptions, equalize


def options(name='grouped', copies='published', **split):
    return SplitOptions(name, **split), Augmentation(copies)


def named(labels, classes, **more):
    return replace(make_cells(labels, size=16, **more), classes=classes)


SUBTYPES = ('L1', 'L2', 'L3', 'normal')


def test_the_published_counts_come_from_310_cells():
    cells = named([0] * 96 + [1] * 55 + [2] * 29 + [3] * 130, SUBTYPES)
    assert protocol.target_counts(cells).tolist() == [266, 153, 81, 260]
    grown, parts = protocol.divide(cells, *options('paper'), 0)
    assert grown.counts() == {'L1': 266, 'L2': 153, 'L3': 81, 'normal': 260}
    assert (len(parts.train), len(parts.test)) == (456, 304)  # as Tables 1 and 3 have it
    detection = named([0] * 180 + [1] * 130, ('blast', 'normal'))
    assert protocol.target_counts(detection).tolist() == [500, 260]


def test_other_numbers_are_in_proportion_and_nothing_is_dropped():
    cells = named([0] * 48 + [1] * 28 + [2] * 60 + [3] * 65, SUBTYPES)
    assert protocol.target_counts(cells).tolist() == [
        round(0.35 * 201 * 760 / 310),
        round(153 / 760 * 201 * 760 / 310),
        60,
        169,
    ]
    assert protocol.target_counts(named([0] * 10 + [1] * 30, ('x', 'y'))).tolist() == [25, 74]


def test_the_paper_s_protocol_puts_copies_of_a_cell_on_both_sides():
    grown, parts = protocol.divide(named([0, 1, 2, 3] * 12, SUBTYPES), *options('paper'), 0)
    source = np.array([name.partition(protocol.COPY_MARK)[0] for name in grown.names])
    assert parts.leaky
    assert len(set(source[parts.train]) & set(source[parts.test])) > 10
    assert sorted([*parts.train, *parts.test]) == list(range(len(grown)))


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), name=st.sampled_from(['grouped', 'random']), folds=st.sampled_from([1, 3]))
def test_nothing_augmented_reaches_a_test_fold_and_no_copy_leaves_the_training_side(seed, name, folds):
    cells = named(np.tile([0, 1, 2, 3], 15), SUBTYPES, groups=np.repeat(np.arange(15), 4))
    grown, parts = protocol.divide(cells, *options(name, folds=folds, fold=0, validation=0.25), seed)
    assert max(parts.test) < len(cells)
    assert max(parts.validation) < len(cells)
    copies = parts.train[parts.train >= len(cells)]
    assert len(copies) == len(grown) - len(cells) > 0
    sources = {name.partition(protocol.COPY_MARK)[0] for name in np.array(grown.names)[copies]}
    assert sources <= {grown.names[i] for i in parts.train if i < len(cells)}
    if name == 'grouped':
        assert not set(grown.groups[parts.train]) & set(grown.groups[parts.test])
    same = [grown.names.index(name.partition(protocol.COPY_MARK)[0]) for name in np.array(grown.names)[copies]]
    np.testing.assert_array_equal(grown.labels[copies], grown.labels[same])
    np.testing.assert_array_equal(grown.groups[copies], grown.groups[same])


def test_a_copy_is_the_same_in_every_split_and_differs_from_its_cell():
    cells = named([0, 1, 2, 3] * 9, SUBTYPES)
    first, _ = protocol.divide(cells, *options('paper'), 0)
    second, _ = protocol.divide(cells, *options('grouped', folds=3, fold=1), 0)
    both = set(first.names) & set(second.names)
    assert len(both) > len(cells) + 10
    for name in both:
        copy = first.images[first.names.index(name)]
        np.testing.assert_array_equal(copy, second.images[second.names.index(name)])
        if protocol.COPY_MARK in name:
            assert np.abs(copy.astype(int) - first.images[first.names.index(name.partition('#')[0])]).mean() > 1


def test_fresh_copies_are_left_to_the_steps():
    cells = named([0, 1, 2, 3] * 9, SUBTYPES)
    grown, parts = protocol.divide(cells, *options('grouped', copies='fresh'), 0)
    assert grown is cells
    assert len(parts.train) + len(parts.test) == len(cells)


@pytest.mark.parametrize('how', ['undersample', 'oversample'])
@pytest.mark.parametrize('name', ['paper', 'grouped'])
def test_equalized_counts_are_equal(how, name):
    cells = named([0] * 20 + [1] * 11 + [2] * 8 + [3] * 31, SUBTYPES)
    grown, parts = protocol.divide(cells, *options(name), 3)
    index = equalize(grown.labels, parts.train, how, 3)
    counts = np.bincount(grown.labels[index])
    assert len(set(counts)) == 1
    assert set(index) <= set(parts.train)


def test_the_copies_are_turned_by_a_program_that_lowers_for_a_gpu():
    augmentation = Augmentation(light=0.1, stain=0.1, blur=1.0, noise=5.0, jpeg=50, gray=0.2)
    images = np.zeros((4, 16, 16, 3), np.uint8)
    traced = protocol.make_copier(augmentation, 0).trace(images, np.arange(4), np.arange(4))
    assert traced.lower(lowering_platforms=('cuda',)).as_text()
