"""Measures of a classifier, overall and class by class: from counts, and from probabilities.

scikit-learn is imported where it is used: a prediction, which needs other things of this file, should not wait for it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped


class Marginals(NamedTuple):
    """All that the measures ask of a confusion matrix, or of any number of them at a time: linear in the classes."""

    hits: Int[np.ndarray, '*draws classes']  # cells of each class that were taken for it
    true: Int[np.ndarray, '*draws classes']  # cells of each class
    predicted: Int[np.ndarray, '*draws classes']  # cells that were taken for each class


# Confusion matrices, rows = true classes, or their marginals; any number at a time.
Counts = Shaped[np.ndarray, '*draws classes classes'] | Marginals
Values = np.ndarray  # of one matrix, without dimensions
BINS = 15  # of the calibration error (Guo et al. 2017)


def confusion(
    labels: Int[np.ndarray, ' cells'], predictions: Int[np.ndarray, ' cells'], classes: int
) -> Int[np.ndarray, '{classes} {classes}']:
    """Count the cells of true class i (row) that were taken for class j (column).

    Raises ValueError for a label or prediction outside 0 … classes - 1: dropping it would flatter the model.
    """
    check_labels(labels, predictions, classes)
    if not len(labels):
        return np.zeros((classes, classes), dtype=np.int64)
    from sklearn.metrics import confusion_matrix

    return confusion_matrix(labels, predictions, labels=np.arange(classes))


def check_labels(labels: Int[np.ndarray, ' cells'], predictions: Int[np.ndarray, ' cells'], classes: int) -> None:
    """Raise ValueError for a label or prediction outside 0 … classes - 1."""
    seen = np.union1d(labels, predictions)
    if seen.size and not 0 <= seen.min() <= seen.max() < classes:
        raise ValueError(f'labels and predictions have to lie in 0 … {classes - 1}, found {seen.min()} … {seen.max()}')


def scores(matrix: Int[np.ndarray, 'classes classes'], names: Sequence[str]) -> dict[str, Any]:
    """Return every measure of a confusion matrix (rows = true classes) as JSON-safe fractions of 1.

    A measure whose denominator is zero is None: precision of a class never predicted, recall of a class without cells,
    specificity where no cell is of another class. The macro means run over the classes that have cells; there a
    precision without predictions counts as 0, as in scikit-learn's `zero_division=0`, so a model cannot gain by never
    naming a class. The "accuracy" of Shafique & Tehsin 2018 is 'macro_precision'. Raises ValueError unless there is one
    distinct name for each class.
    """
    if len(set(names)) != len(matrix) or len(names) != len(matrix):
        raise ValueError(f'{len(matrix)} classes need as many distinct names, found {list(names)}')
    columns = {measure: of(matrix) for measure, of in PER_CLASS.items()}
    per_class = {
        name: {'n': int(matrix[i].sum()), **{measure: _plain(column[i]) for measure, column in columns.items()}}
        for i, name in enumerate(names)
    }
    overall = {measure: _plain(of(matrix)) for measure, of in OVERALL.items()}
    counts = {'labels': list(names), 'matrix': matrix.tolist(), 'rows': 'true'}
    return {**overall, 'per_class': per_class, 'confusion': counts}


def compute(matrices: Counts, measure: str, names: Sequence[str]) -> Values:
    """One measure of many confusion matrices, or of their marginals, NaN where it is undefined.

    `measure` is an overall one, such as 'macro_precision', or one of a class: 'per_class.L1.recall'. Raises ValueError
    for a measure that there is not.
    """
    if measure in OVERALL:
        return OVERALL[measure](matrices)
    name, kind = _split_measure(measure)
    if name is None or name not in names or kind not in PER_CLASS:
        raise _no_such(measure, OVERALL, names, PER_CLASS)
    return PER_CLASS[kind](matrices)[..., list(names).index(name)]


def lookup(scores: Mapping[str, Any], measure: str) -> float | None:
    """One measure of the result of `scores` or `probability_scores`, or of both as in results.json; None if undefined.

    `measure` is as in `compute`. Raises ValueError for a measure that there is not.
    """
    name, kind = _split_measure(measure)
    rows = scores['per_class']
    row = scores if name is None else rows.get(name, {})
    if kind not in _measured(row):
        raise _no_such(measure, _measured(scores), rows, _measured(next(iter(rows.values()), {})))
    return row[kind]


def probability_scores(
    labels: Int[np.ndarray, ' cells'], probabilities: Float[np.ndarray, 'cells classes'], names: Sequence[str]
) -> dict[str, Any]:
    """Return the measures that depend on the probabilities, as JSON-safe fractions of 1.

    AUROC and average precision of each class against the rest, None for a class without cells or without others, with
    their means over the classes that have one; and the expected calibration error of the predicted class over 15 equal
    bins (Guo et al. 2017, arXiv:1706.04599); and the share of the cells, the most confident first, on which the
    accuracy is 95 % (a point of the risk-coverage curve, Geifman & El-Yaniv 2017, arXiv:1705.08500).
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    per_class = {}
    for i, name in enumerate(names):
        of_class = labels == i
        both = bool(of_class.any() and not of_class.all())
        per_class[name] = {
            'auroc': float(roc_auc_score(of_class, probabilities[:, i])) if both else None,
            'average_precision': float(average_precision_score(of_class, probabilities[:, i])) if both else None,
        }
    means = {
        f'macro_{kind}': _mean([row[kind] for row in per_class.values()]) for kind in ('auroc', 'average_precision')
    }
    return {
        **means,
        'calibration_error': calibration_error(labels, probabilities),
        'coverage_at_95_accuracy': coverage_at(probabilities.argmax(1) == labels, probabilities.max(1), 0.95),
        'per_class': per_class,
    }


def calibration_error(
    labels: Int[np.ndarray, ' cells'], probabilities: Float[np.ndarray, 'cells classes'], bins: int = BINS
) -> float | None:
    """Mean distance of confidence and accuracy over equal bins of confidence, weighted by their cells."""
    if not len(labels):
        return None
    return confidence_error(probabilities.argmax(1) == labels, probabilities.max(1), bins)


def confidence_error(
    correct: Bool[np.ndarray, ' cells'], confidence: Float[np.ndarray, ' cells'], bins: int = BINS
) -> float:
    """`calibration_error` by the confidence of one cell at least, and whether its prediction is correct."""
    member = bin_of(confidence, bins)
    gaps = np.bincount(member, correct - confidence, bins)  # cells of the bin times (accuracy - confidence)
    return float(np.abs(gaps).sum() / len(correct))


def bin_of(confidence: Float[np.ndarray, ' cells'], bins: int = BINS) -> Int[np.ndarray, ' cells']:
    """The bin of each cell among equal ones of confidence, from 0; a bin holds its upper bound."""
    return np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)


def coverage_at(
    correct: Bool[np.ndarray, ' cells'], confidence: Float[np.ndarray, ' cells'], accuracy: float
) -> float | None:
    """The largest share of the cells, taken from the most confident on, whose accuracy is at least `accuracy`.

    Cells of one confidence are taken together; 0 where not even the most confident reach it, None without cells.
    """
    if not len(correct):
        return None
    order = np.argsort(-confidence, kind='stable')
    ordered, taken = confidence[order], np.arange(1, len(order) + 1)
    last_of_its_kind = np.append(ordered[1:] < ordered[:-1], True)
    reached = last_of_its_kind & (np.cumsum(correct[order]) >= accuracy * taken - 1e-9)
    return float(taken[reached].max(initial=0) / len(order))


def _hits(m: Counts) -> Values:
    return m.hits if isinstance(m, Marginals) else np.diagonal(m, axis1=-2, axis2=-1)


def _true(m: Counts) -> Values:
    return m.true if isinstance(m, Marginals) else np.asarray(m.sum(-1))


def _predicted(m: Counts) -> Values:
    return m.predicted if isinstance(m, Marginals) else np.asarray(m.sum(-2))


def _over(part: Values | np.generic, whole: Values | np.generic) -> Values:
    parts, wholes = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    return np.divide(parts, wholes, out=np.full(wholes.shape, np.nan), where=wholes != 0)


def _total(m: Counts) -> Values:
    return np.asarray(_true(m).sum(-1))


def _negatives(m: Counts) -> Values:
    """Of each class: cells of other classes that were not taken for it."""
    return _total(m)[..., None] - _true(m) - _predicted(m) + _hits(m)


def _over_present(values: Values, m: Counts) -> Values:
    """Mean over the classes that have cells and a value."""
    counted = (_true(m) > 0) & ~np.isnan(values)
    return _over(np.where(counted, values, 0).sum(-1), counted.sum(-1))


def _kappa(m: Counts) -> Values:
    chance = (_true(m) * _predicted(m)).sum(-1) / np.maximum(_total(m), 1) ** 2
    return _over(OVERALL['accuracy'](m) - chance, 1 - chance)


def _mcc(m: Counts) -> Values:
    true, predicted, total = (part.astype(float) for part in (_true(m), _predicted(m), _total(m)))
    spread = [total**2 - (side**2).sum(-1) for side in (true, predicted)]
    return _over(_hits(m).sum(-1) * total - (true * predicted).sum(-1), np.sqrt(spread[0] * spread[1]))


# Measures of each class against the rest: counts to [*draws, classes].
PER_CLASS: Mapping[str, Callable[[Counts], Values]] = {
    'precision': lambda m: _over(_hits(m), _predicted(m)),
    'recall': lambda m: _over(_hits(m), _true(m)),
    'specificity': lambda m: _over(_negatives(m), _total(m)[..., None] - _true(m)),
    'f1': lambda m: _over(2 * _hits(m), _true(m) + _predicted(m)),
    'accuracy': lambda m: _over(_hits(m) + _negatives(m), _total(m)[..., None]),
}
# Overall measures: counts to [*draws].
OVERALL: Mapping[str, Callable[[Counts], Values]] = {
    'accuracy': lambda m: _over(_hits(m).sum(-1), _total(m)),
    'macro_precision': lambda m: _over_present(np.nan_to_num(PER_CLASS['precision'](m)), m),
    'macro_recall': lambda m: _over_present(PER_CLASS['recall'](m), m),
    'macro_specificity': lambda m: _over_present(PER_CLASS['specificity'](m), m),
    'macro_f1': lambda m: _over_present(PER_CLASS['f1'](m), m),
    'balanced_accuracy': lambda m: _over_present(PER_CLASS['recall'](m), m),  # another name of macro recall
    'kappa': _kappa,  # Cohen 1960
    'mcc': _mcc,  # Matthews' correlation for many classes (Gorodkin 2004)
}


def _split_measure(measure: str) -> tuple[str | None, str]:
    """'per_class.L.1.recall' as ('L.1', 'recall'), for a class name may hold dots; anything else as (None, measure)."""
    start, _, rest = measure.partition('.')
    name, dot, kind = rest.rpartition('.')
    return (name, kind) if start == 'per_class' and dot else (None, measure)


def _measured(row: Mapping[str, Any]) -> list[str]:
    return [kind for kind, value in row.items() if value is None or isinstance(value, float)]


def _no_such(measure: str, overall: Iterable[str], names: Iterable[str], kinds: Iterable[str]) -> ValueError:
    return ValueError(
        f'there is no measure {measure!r}; they are {", ".join(overall)}, and per_class.X.Y with X of '
        f'{", ".join(names)} and Y of {", ".join(kinds)}'
    )


def _plain(value: Values | np.generic) -> float | None:
    return None if np.isnan(value) else float(value)


def _mean(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
