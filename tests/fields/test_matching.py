"""Measures of found cells against marked ones, counted by hand."""

import numpy as np
import pytest

from alljax.fields import matching
from alljax.fields.boxes import Marks, centers_of
from alljax.fields.white_cells import Found


def found(boxes, confidences):
    boxes = np.array(boxes, float).reshape(-1, 4)
    return Found(centers_of(boxes), boxes, boxes[:, 2] * boxes[:, 3], np.array(confidences, float))


def marks(boxes):
    boxes = np.array(boxes, float).reshape(-1, 4)
    return Marks('a.png', centers_of(boxes), ('',) * len(boxes), boxes)


def test_each_marked_cell_is_hit_once():
    compared = matching.by_boxes(
        found([(0, 0, 10, 10), (1, 0, 10, 10), (50, 50, 10, 10)], (0.9, 0.8, 0.7)), marks([(0, 0, 10, 10)])
    )
    assert compared.hits.tolist() == [True, False, False]
    assert compared.marked == 1


def test_pairs_are_chosen_so_that_most_are_hits():
    both = matching.by_centers(
        found([(0, 0, 10, 10), (6, 0, 10, 10)], (0.9, 0.8)), np.array([(7, 5), (3, 5)], float), 10.0
    )
    assert both.hits.all()
    chain = matching.by_centers(
        found([(0, 0, 10, 10), (4, 0, 10, 10)], (1, 1)), np.array([(5, 5), (13, 5)], float), 10.0
    )
    assert chain.hits.all()


def test_measures_are_those_counted_by_hand():
    one = matching.Comparison(np.array([True, False]), np.array([0.9, 0.6]), 1)
    other = matching.Comparison(np.array([True]), np.array([0.5]), 3)
    values = matching.measures([one, other])
    assert values.precision == pytest.approx(2 / 3)
    assert values.recall == pytest.approx(2 / 4)
    assert values.f1 == pytest.approx(4 / 7)
    assert values.count_error == pytest.approx(-1 / 4)
    assert values.average_precision == pytest.approx((1 + 2 / 3) / 4)


def test_nothing_found_or_marked_is_no_number():
    empty = matching.by_boxes(found([], []), marks([]))
    assert all(np.isnan(matching.measures([empty])))
    missed = matching.measures([matching.by_boxes(found([], []), marks([(0, 0, 9, 9)]))])
    assert (missed.recall, missed.count_error, missed.average_precision) == (0, -1, 0)
    assert np.isnan(missed.precision)


def test_centers_give_no_intersection():
    only = marks([(0, 0, 9, 9)])._replace(boxes=None)
    with pytest.raises(ValueError, match='no boxes; compare the centers'):
        matching.by_boxes(found([(0, 0, 9, 9)], [1]), only)


def test_intervals_resample_whole_groups():
    good = matching.Comparison(np.array([True]), np.array([0.9]), 1)
    bad = matching.Comparison(np.array([], bool), np.array([]), 1)
    low, high = matching.intervals([good, good, bad], ['a', 'b', 'b'], np.random.default_rng(0))
    assert (low[1], high[1]) == (0.5, 1)  # recall of b alone, and of a alone
    assert np.isnan(matching.intervals([good, bad], ['a', 'a'], np.random.default_rng(0))).all()


def test_an_interval_is_no_point_where_all_groups_agree():
    good = matching.Comparison(np.array([True]), np.array([0.9]), 1)
    bounds = matching.intervals([good] * 9, list('abcdefghi'), np.random.default_rng(0))
    assert pytest.approx(np.array([[0.7009, 1], [0.7009, 1]]), abs=1e-3) == bounds[:, :2].T  # Wilson's
    assert np.isnan(bounds[:, 2:]).all()


def test_calls_of_fields_are_compared_with_their_labels():
    share, low, high = matching.agreement(['blast', 'normal', 'blast'], ['blast', 'normal', 'normal'])
    assert share == pytest.approx(2 / 3)
    assert (low, high) == pytest.approx((0.2077, 0.9385), abs=1e-3)  # Wilson's
