"""Intervals of the sensitivity of each class: over slides or patients where these are known, else Wilson's."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from alljax.evaluation import intervals
from alljax.evaluation.formatting import MISSING, interval
from alljax.evaluation.prediction_rows import Rows, columns
from alljax.evaluation.slides import are_known

OVER_GROUPS, WILSON = 'over slides or patients', 'Wilson'


def in_words(results: Mapping[str, Any], rows: Rows) -> tuple[str, dict[str, str]]:
    """The kind of these 95% intervals, and the interval of each class, which says so if it is of another kind.

    `results` is the content of results.json, `rows` that of predictions.csv; without rows or known slides, all are
    Wilson's. So is that of a class whose slides do not vary, for a point would claim certainty.
    """
    test, known = results['test'], results.get('cross_validation', {})
    repeats = known.get('repeats', 1)
    grouped = bool(rows) and are_known(results)
    kind = OVER_GROUPS if grouped else WILSON
    found = columns(rows) if grouped else None
    matrix = np.array(test['confusion']['matrix'])
    words = {}
    for place, name in enumerate(test['confusion']['labels']):
        n = int(matrix[place].sum())
        bounds = None
        if found is not None:
            chosen = np.array([label == name for label in found.labels], bool)
            groups = np.unique(np.array(found.groups)[chosen], return_inverse=True)[1]
            bounds = intervals.of_groups(intervals.accuracy_bootstrap(found.right[chosen], groups)) if n else None
        other = grouped and bounds is None
        if bounds is None and n:
            bounds = intervals.wilson(int(matrix[place, place]), n, repeats=repeats)
        words[name] = interval(bounds) + (f' ({WILSON})' if other else '') if bounds else MISSING
    return kind, words
