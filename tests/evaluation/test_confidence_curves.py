"""The accuracy of cells by their confidence, with intervals over groups."""

import numpy as np
import pytest
from test_report import make_cells

from alljax.evaluation import confidence_curves, exploration, intervals, metrics
from alljax.runs.results import score


def test_accuracy_of_all_has_the_interval_of_the_report():
    rng = np.random.default_rng(1)
    labels, groups = rng.integers(0, 4, 80).astype(np.int32), (np.arange(80) // 8).astype(np.int32)
    logits = (rng.normal(size=(80, 4)) + np.eye(4)[labels]).astype(np.float32)
    found = score(make_cells(labels, groups), logits)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    right, confidence = shares.argmax(1) == labels, shares.max(1).astype(float)
    answered = confidence_curves.abstention(confidence, right, groups)
    assert answered[0].interval == found['accuracy_ci95']['bootstrap_groups']
    assert (answered[0].answered, answered[0].right) == (80, right.sum())
    assert answered[100].interval is None
    some = confidence >= 0.6 - 1e-9
    assert (answered[60].answered, answered[60].right) == (some.sum(), right[some].sum())
    bins = confidence_curves.reliability(confidence, right, groups)
    gap = sum(one.cells * abs(one.accuracy - one.confidence) for one in bins) / 80
    assert gap == pytest.approx(metrics.confidence_error(right, confidence))


def test_interval_of_a_single_group_is_wilsons():
    (bounds,) = intervals.share_bootstrap(np.ones((5, 1), bool), np.ones(5, bool), np.zeros(5, int))
    assert bounds is None
    answered = confidence_curves.abstention(np.full(5, 0.5), np.array([True] * 4 + [False]), np.zeros(5, int))
    assert answered[50] == (0.5, 5, 4, intervals.wilson(4, 5), False)
    assert exploration.interval(answered[50], 'slide') == '95% interval by Wilson 37.6% to 96.4%'


def test_a_cell_that_was_tested_several_times_counts_once_in_wilson_s_interval():
    confidence, right, groups = np.full(20, 0.5), np.array([True] * 16 + [False] * 4), np.zeros(20, int)
    twice = [np.tile(column, 2) for column in (confidence, right, groups)]
    once, again = confidence_curves.abstention(confidence, right, groups), confidence_curves.abstention(*twice, 2)
    assert again[0].answered == 40
    assert again[0].interval == once[0].interval == intervals.wilson(16, 20)
    (row,) = confidence_curves.reliability(*twice, repeats=2)
    assert row.interval == intervals.wilson(16, 20)
