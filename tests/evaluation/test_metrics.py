import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

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
    assert blast == pytest.approx({'n': 4, 'precision': 3 / 5, 'recall': 3 / 4, 'specificity': 4 / 6, 'f1': 6 / 9})
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
