"""Intervals of each class's sensitivity."""

import numpy as np
import pytest

from alljax.evaluation import intervals, recall_intervals
from alljax.evaluation.formatting import interval

# 12 cells of 'a' on three slides, of which one is told wrong throughout; 4 of 'b', all right; none of 'c'
ROWS = [
    *({'file': f'a{n}', 'group': f's{n // 4}', 'label': 'a', 'prediction': 'b' if n < 4 else 'a'} for n in range(12)),
    *({'file': f'b{n}', 'group': f's{n % 2}', 'label': 'b', 'prediction': 'b'} for n in range(4)),
]


def results(grouping='patient or slide', leaky=False):
    confusion = {'labels': ['a', 'b', 'c'], 'matrix': [[8, 4, 0], [0, 4, 0], [0, 0, 0]]}
    return {'test': {'confusion': confusion}, 'split': {'leaky': leaky}, 'data': {'grouping': grouping}}


def test_whole_slides_are_resampled_where_they_are_known():
    kind, words = recall_intervals.in_words(results(), ROWS)
    assert kind == 'over slides or patients'
    bounds = intervals.accuracy_bootstrap(np.arange(12) >= 4, np.arange(12) // 4)
    assert bounds == [0, 1]  # a third of the draws of three slides takes the wrong one twice or more
    assert words['a'] == interval(bounds)
    assert words['b'] == f'{interval(intervals.wilson(4, 4))} (Wilson)'  # all of its slides are alike
    assert words['c'] == '—'


@pytest.mark.parametrize(('rows', 'changes'), [((), {}), (ROWS, {'grouping': 'unknown'}), (ROWS, {'leaky': True})])
def test_elsewhere_they_are_wilson_s(rows, changes):
    kind, words = recall_intervals.in_words(results(**changes), rows)
    assert kind == 'Wilson'
    assert words == {'a': interval(intervals.wilson(8, 12)), 'b': interval(intervals.wilson(4, 4)), 'c': '—'}
