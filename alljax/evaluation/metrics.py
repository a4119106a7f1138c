"""What a classifier got right and wrong, class by class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from sklearn.metrics import confusion_matrix


def confusion(
    labels: Int[np.ndarray, ' cells'], predictions: Int[np.ndarray, ' cells'], classes: int
) -> Int[np.ndarray, '{classes} {classes}']:
    """Count the cells of true class i (row) that were taken for class j (column).

    Raises ValueError for a label or prediction outside 0 … classes - 1: dropping it would flatter the model.
    """
    seen = np.union1d(labels, predictions)
    if seen.size and not 0 <= seen.min() <= seen.max() < classes:
        raise ValueError(f'labels and predictions have to lie in 0 … {classes - 1}, found {seen.min()} … {seen.max()}')
    if not seen.size:
        return np.zeros((classes, classes), dtype=np.int64)
    return confusion_matrix(labels, predictions, labels=np.arange(classes))


def scores(matrix: Int[np.ndarray, 'classes classes'], names: Sequence[str]) -> dict[str, Any]:
    """Return every measure of a confusion matrix (rows = true classes) as JSON-safe fractions of 1.

    A measure whose denominator is zero is None under 'per_class': precision of a class never predicted, recall of a
    class without cells, specificity where no cell is of another class. The macro means run over the classes that have
    cells; there a precision without predictions counts as 0, as in scikit-learn's `zero_division=0`, so a model cannot
    gain by never naming a class. A mean over nothing is None. The "accuracy" of Shafique & Tehsin 2018 is
    'macro_precision'. Raises ValueError unless there is one distinct name for each class.
    """
    if len(set(names)) != len(matrix) or len(names) != len(matrix):
        raise ValueError(f'{len(matrix)} classes need as many distinct names, found {list(names)}')
    per_class = {name: _one_against_rest(matrix, i) for i, name in enumerate(names)}
    present = [row for row in per_class.values() if row['n']]
    return {
        'accuracy': _ratio(matrix.trace(), matrix.sum()),
        'macro_precision': _mean([row['precision'] or 0.0 for row in present]),
        'macro_recall': _mean([row['recall'] for row in present]),
        'macro_specificity': _mean([row['specificity'] for row in present]),
        'per_class': per_class,
        'confusion': {'labels': list(names), 'matrix': matrix.tolist(), 'rows': 'true'},
    }


def _one_against_rest(matrix: np.ndarray, i: int) -> dict[str, Any]:
    total, cells, predicted, hits = matrix.sum(), matrix[i].sum(), matrix[:, i].sum(), matrix[i, i]
    return {
        'n': int(cells),
        'precision': _ratio(hits, predicted),
        'recall': _ratio(hits, cells),
        'specificity': _ratio(total - cells - predicted + hits, total - cells),
        'f1': _ratio(2 * hits, cells + predicted),
    }


def _ratio(part: np.integer, whole: np.integer) -> float | None:
    return float(part / whole) if whole else None


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
