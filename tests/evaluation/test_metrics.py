import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    cohen_kappa_score,
    matthews_corrcoef,
    precision_recall_fscore_support,
    roc_auc_score,
)

from alljax.evaluation import metrics

# Shafique & Tehsin 2018, tables 2 and 3; their rows are predicted classes, ours true ones
DETECTION = np.array([[197, 2], [0, 104]]).T
SUBTYPE = np.array([[106, 1, 0, 0], [3, 55, 1, 0], [1, 1, 30, 0], [1, 1, 0, 104]]).T
SUBTYPES = ['L1', 'L2', 'L3', 'normal']

square = st.integers(2, 6).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 40), min_size=k, max_size=k), min_size=k, max_size=k)
)


def names_of(matrix):
    return [f'class {i}' for i in range(len(matrix))]


def cells_of(matrix):
    labels, predictions = np.indices(matrix.shape).reshape(2, -1)
    return np.repeat(labels, matrix.ravel()), np.repeat(predictions, matrix.ravel())


def test_confusion_has_true_classes_as_rows():
    matrix = metrics.confusion(np.array([0, 0, 1, 1, 1]), np.array([0, 1, 1, 1, 0]), 3)
    assert matrix.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]


def test_confusion_of_no_cells_is_zero():
    none = np.array([], dtype=np.int32)
    assert metrics.confusion(none, none, 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(('labels', 'predictions'), [([0, 1], [0, 4]), ([0, -1], [0, 1])])
def test_confusion_refuses_what_it_would_have_to_drop(labels, predictions):
    with pytest.raises(ValueError, match=r'0 … 3'):
        metrics.confusion(np.array(labels), np.array(predictions), 4)


@given(square)
def test_confusion_counts_every_cell_once(rows):
    matrix = np.array(rows)
    np.testing.assert_array_equal(metrics.confusion(*cells_of(matrix), len(matrix)), matrix)


def test_detection_matrix_of_the_paper():
    found = metrics.scores(DETECTION, ['blast', 'normal'])
    assert 100 * found['accuracy'] == pytest.approx(99.34, abs=0.005)
    assert 100 * found['macro_precision'] == pytest.approx(99.50, abs=0.005)
    assert 100 * found['per_class']['blast']['recall'] == 100
    assert 100 * found['per_class']['blast']['specificity'] == pytest.approx(98.11, abs=0.005)


def test_subtype_matrix_of_the_paper():
    found = metrics.scores(SUBTYPE, SUBTYPES)
    assert 100 * found['accuracy'] == pytest.approx(97.04, abs=0.005)
    assert 100 * found['macro_precision'] == pytest.approx(96.04, abs=0.005)
    assert 100 * found['macro_recall'] == pytest.approx(96.77, abs=0.005)
    assert 100 * found['macro_specificity'] == pytest.approx(99.03, abs=0.01)
    rows = [found['per_class'][name] for name in SUBTYPES]
    # table 5, which cuts digits off instead of rounding
    assert [100 * row['recall'] for row in rows] == pytest.approx([95.40, 94.82, 96.77, 100.0], abs=0.1)
    assert [100 * row['specificity'] for row in rows] == pytest.approx([99.48, 98.40, 99.26, 99.00], abs=0.05)
    assert [row['n'] for row in rows] == [111, 58, 31, 104]


def test_hand_computed_values():
    found = metrics.scores(np.array([[3, 1], [2, 4]]), ['blast', 'normal'])
    blast = found['per_class']['blast']
    expected = {'n': 4, 'precision': 3 / 5, 'recall': 3 / 4, 'specificity': 4 / 6, 'f1': 6 / 9, 'accuracy': 7 / 10}
    assert blast == pytest.approx(expected)
    assert found['macro_f1'] == pytest.approx((6 / 9 + 8 / 11) / 2)
    assert found['balanced_accuracy'] == pytest.approx((3 / 4 + 4 / 6) / 2)
    chance = (4 * 5 + 6 * 5) / 100
    assert found['kappa'] == pytest.approx((0.7 - chance) / (1 - chance))
    assert found['mcc'] == pytest.approx((3 * 4 - 1 * 2) / math.sqrt(4 * 6 * 5 * 5))
    assert found['accuracy'] == pytest.approx(0.7)
    assert found['macro_precision'] == pytest.approx((3 / 5 + 4 / 5) / 2)


def test_class_never_predicted_has_no_precision_but_pulls_the_mean_down():
    found = metrics.scores(np.array([[4, 0], [6, 0]]), ['blast', 'normal'])
    assert found['per_class']['normal']['precision'] is None
    assert found['per_class']['normal']['f1'] == 0
    assert found['macro_precision'] == pytest.approx((0.4 + 0) / 2)


def test_class_without_cells_is_left_out_of_the_means():
    found = metrics.scores(np.array([[4, 0, 1], [0, 5, 0], [0, 0, 0]]), ['L1', 'L2', 'L3'])
    empty = found['per_class']['L3']
    assert (empty['n'], empty['recall'], empty['precision']) == (0, None, 0.0)
    assert found['macro_recall'] == pytest.approx((0.8 + 1) / 2)
    assert found['macro_precision'] == pytest.approx(1)
    assert found['macro_specificity'] == pytest.approx(1)


def test_one_class_alone_has_no_specificity_and_no_cells_no_measure():
    assert metrics.scores(np.array([[5, 1], [0, 0]]), ['a', 'b'])['macro_specificity'] is None
    nothing = metrics.scores(np.zeros((2, 2), dtype=int), ['a', 'b'])
    assert {nothing[key] for key in ('accuracy', 'macro_precision', 'macro_recall', 'macro_specificity')} == {None}


@pytest.mark.parametrize('names', [['a'], ['a', 'b', 'c'], ['a', 'a']])
def test_scores_need_one_distinct_name_a_class(names):
    with pytest.raises(ValueError, match='distinct names'):
        metrics.scores(np.eye(2, dtype=int), names)


@given(square)
def test_scores_agree_with_sklearn(rows):
    matrix = np.array(rows) + np.eye(len(rows), dtype=int)  # every class has cells and predictions
    labels, predictions = cells_of(matrix)
    found = metrics.scores(matrix, names_of(matrix))
    precision, recall, f1, n = precision_recall_fscore_support(labels, predictions, zero_division=0)
    ours = list(found['per_class'].values())
    np.testing.assert_allclose([row['precision'] for row in ours], precision)
    np.testing.assert_allclose([row['recall'] for row in ours], recall)
    np.testing.assert_allclose([row['f1'] for row in ours], f1)
    assert [row['n'] for row in ours] == n.tolist()
    assert found['accuracy'] == pytest.approx(accuracy_score(labels, predictions))
    assert found['macro_precision'] == pytest.approx(precision.mean())


@given(square)
def test_recall_is_the_specificity_of_the_other_of_two_classes(rows):
    matrix = np.array(rows)[:2, :2]
    first, second = metrics.scores(matrix, ['a', 'b'])['per_class'].values()
    assert (first['recall'], second['recall']) == (second['specificity'], first['specificity'])


@given(square, st.randoms())
def test_order_of_classes_does_not_matter(rows, random):
    matrix = np.array(rows)
    order = random.sample(range(len(matrix)), len(matrix))
    names = names_of(matrix)
    one = metrics.scores(matrix, names)
    other = metrics.scores(matrix[np.ix_(order, order)], [names[i] for i in order])
    assert one['per_class'] == other['per_class']
    assert one['macro_recall'] == pytest.approx(other['macro_recall'])


@given(square)
def test_scores_are_plain_json(rows):
    found = metrics.scores(np.array(rows), names_of(rows))
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_metrics_do_not_import_matplotlib():
    check = "import sys, alljax.evaluation.metrics; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, '-c', check], check=True)


@given(square)
def test_measures_of_the_whole_agree_with_sklearn(rows):
    matrix = np.array(rows)
    if (matrix.sum(1) == 0).any():
        return  # scikit-learn warns and counts absent classes otherwise
    labels, predictions = cells_of(matrix)
    found = metrics.scores(matrix, names_of(matrix))
    assert found['balanced_accuracy'] == pytest.approx(balanced_accuracy_score(labels, predictions))
    f1 = precision_recall_fscore_support(labels, predictions, zero_division=0)[2]
    assert found['macro_f1'] == pytest.approx(f1.mean())
    assert found['kappa'] == pytest.approx(cohen_kappa_score(labels, predictions))
    if found['mcc'] is None:
        assert len(set(predictions)) == 1
    else:
        assert found['mcc'] == pytest.approx(matthews_corrcoef(labels, predictions))
    for i, name in enumerate(names_of(matrix)):
        one = accuracy_score(labels == i, predictions == i)
        assert found['per_class'][name]['accuracy'] == pytest.approx(one)


@given(st.lists(square.filter(lambda rows: len(rows) == 3), min_size=1, max_size=3))
def test_many_matrices_at_once_are_as_each_alone(several):
    matrices, names = np.array(several), ['L1', 'L.2', 'normal']
    paths = [*metrics.OVERALL, *(f'per_class.{name}.{kind}' for name in names for kind in metrics.PER_CLASS)]
    each = [metrics.scores(matrix, names) for matrix in matrices]
    for path in paths:
        for value, found in zip(metrics.compute(matrices, path, names), each, strict=True):
            name, _, kind = path.removeprefix('per_class.').rpartition('.')
            alone = found['per_class'][name][kind] if name else found[path]
            assert (alone is None and np.isnan(value)) or value == pytest.approx(alone)


@pytest.mark.parametrize('path', ['accurac', 'per_class.L1', 'per_class.L9.recall', 'per_class.L1.n', 'macro.recall'])
def test_a_measure_that_there_is_not_is_told(path):
    with pytest.raises(ValueError, match='there is no measure'):
        metrics.compute(SUBTYPE, path, SUBTYPES)
    with pytest.raises(ValueError, match=r'there is no measure .*macro_recall.*L1, L2, L3, normal .*specificity'):
        metrics.lookup(metrics.scores(SUBTYPE, SUBTYPES), path)


def test_a_measure_is_found_by_its_path():
    names = ['L1', 'L.2', 'recall', 'per_class.L1']
    found = metrics.scores(SUBTYPE, names)
    for path in [*metrics.OVERALL, *(f'per_class.{name}.{kind}' for name in names for kind in metrics.PER_CLASS)]:
        assert metrics.lookup(found, path) == float(metrics.compute(SUBTYPE, path, names))
    never = metrics.scores(np.array([[4, 0], [6, 0]]), ['blast', 'normal'])
    assert metrics.lookup(never, 'per_class.normal.precision') is None
    assert math.isnan(metrics.compute(np.array([[4, 0], [6, 0]]), 'per_class.normal.precision', ['blast', 'normal']))


def test_ranked_measures_are_found_by_their_path():
    probabilities = np.array([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3]])
    found = metrics.probability_scores(np.array([0, 1, 0]), probabilities, ['a', 'b'])
    assert metrics.lookup(found, 'per_class.b.auroc') == metrics.lookup(found, 'macro_auroc') == 1
    with pytest.raises(ValueError, match=r'macro_auroc.*calibration_error.*auroc, average_precision'):
        metrics.lookup(found, 'accuracy')


def test_ranked_measures_agree_with_sklearn():
    rng = np.random.default_rng(0)
    labels, probabilities = rng.integers(0, 3, 200), rng.dirichlet(np.ones(3), 200)
    found = metrics.probability_scores(labels, probabilities, ['a', 'b', 'c'])
    assert found['macro_auroc'] == pytest.approx(roc_auc_score(labels, probabilities, multi_class='ovr'))
    means = [average_precision_score(labels == i, probabilities[:, i]) for i in range(3)]
    assert found['macro_average_precision'] == pytest.approx(np.mean(means))
    assert found['per_class']['b']['average_precision'] == pytest.approx(means[1])


def test_ranked_measures_by_hand():
    probabilities = np.array([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.7, 0.3, 0.0], [0.2, 0.8, 0.0]])
    found = metrics.probability_scores(np.array([0, 1, 0, 1]), probabilities, ['a', 'b', 'never'])
    assert found['per_class']['a']['auroc'] == 1.0  # 0.9 and 0.7 above 0.6 and 0.2
    assert found['per_class']['never'] == {'auroc': None, 'average_precision': None}
    assert found['macro_auroc'] == 1.0
    # right at 0.9, 0.7 and 0.8, wrong at 0.6, each in a bin of its own
    assert found['calibration_error'] == pytest.approx((0.1 + 0.3 + 0.2 + 0.6) / 4)


def test_calibration_error_pools_the_cells_of_a_bin():
    probabilities = np.tile([0.75, 0.25], (4, 1))
    assert metrics.calibration_error(np.array([0, 0, 0, 1]), probabilities) == pytest.approx(0)
    assert metrics.calibration_error(np.array([0, 0, 0, 0]), probabilities) == pytest.approx(0.25)
    certain = np.tile([1.0, 0.0], (2, 1))
    assert metrics.calibration_error(np.array([0, 0]), certain) == 0


def test_coverage_is_the_largest_share_that_reaches_the_accuracy():
    correct, confidence = np.array([1, 1, 0, 1, 1, 0]) > 0, np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
    assert metrics.coverage_at(correct, confidence, 0.95) == 2 / 6
    assert metrics.coverage_at(correct, confidence, 0.8) == 5 / 6  # reached again after it was lost
    assert metrics.coverage_at(correct, confidence[::-1], 0.95) == 0  # the most confident is wrong
    assert metrics.coverage_at(correct, np.full(6, 0.5), 0.95) == 0  # equals are taken together
    assert metrics.coverage_at(correct, np.full(6, 0.5), 4 / 6) == 1
    assert metrics.coverage_at(correct[:0], confidence[:0], 0.95) is None
