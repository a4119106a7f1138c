"""Temperature, sets of classes and the confidence from which a model answers, against numbers worked out by hand."""

import numpy as np
import pytest

from alljax.evaluation import calibration
from alljax.storage.calibration_record import Calibration


def softmax(logits):
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def drawn(cells, groups, sharpness=1.0, seed=0):
    """Cells whose labels are drawn from softmax(logits), and the probabilities of sharpened logits."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.normal(size=(cells, 3))
    labels = np.array([rng.choice(3, p=row) for row in softmax(logits)])
    return softmax(sharpness * logits), labels, rng.integers(0, groups, cells)


@pytest.mark.parametrize('sharpness', [0.5, 1.0, 4.0])
def test_temperature_takes_back_what_made_logits_sharper(sharpness):
    probabilities, labels, _ = drawn(6000, 30, sharpness)
    assert calibration.temperature(probabilities, labels) == pytest.approx(sharpness, rel=0.1)


def test_tempered_probabilities_are_those_of_divided_logits():
    logits = np.random.default_rng(0).normal(size=(5, 4)) * 3
    np.testing.assert_allclose(calibration.tempered(softmax(logits), 2.5), softmax(logits / 2.5), rtol=1e-6)
    np.testing.assert_array_equal(calibration.tempered(np.array([[1.0, 0.0]]), 20.0), [[1, 0]])


def test_every_group_counts_once_for_the_sets():
    # Nine groups at 0.5 and one, with a hundred cells, at 0.1: 0.9 of 11 groups' weight needs all ten.
    of_label = np.concatenate([np.full(9, 0.5), np.full(100, 0.1)])
    groups = np.concatenate([np.arange(9), np.full(100, 9)])
    assert calibration.least_probability(of_label, groups, 0.9) == pytest.approx(0.1)
    assert calibration.least_probability(of_label, groups, 0.8) == pytest.approx(0.5)  # 9 of 11 groups hold 0.818
    assert calibration.least_probability(of_label, np.arange(109), 0.8) == pytest.approx(0.1)  # a group a cell


def test_too_few_groups_let_every_class_in():
    assert calibration.least_probability(np.full(80, 0.9), np.arange(80) % 8, 0.9) == 0
    assert calibration.least_probability(np.full(90, 0.9), np.arange(90) % 9, 0.9) == pytest.approx(0.9)


def test_sets_cover_new_groups_as_promised():
    rng, covered = np.random.default_rng(1), []
    for _ in range(200):
        shift = rng.normal(size=25)  # of each group: what makes its cells alike
        of_label = 1 / (1 + np.exp(-shift[:, None] - rng.normal(size=(25, 8))))
        least = calibration.least_probability(of_label[:-1].ravel(), np.repeat(np.arange(24), 8), 0.9)
        covered.append(np.mean(of_label[-1] >= least))
    assert 0.88 < np.mean(covered) < 0.96


def test_an_answer_is_given_from_the_confidence_that_reached_the_accuracy():
    confidence = np.linspace(1, 0.5, 101)
    right = confidence > 0.805  # of the 40 most confident 39 or more are right; 0.95 is reached by 42 of them
    assert calibration.least_confidence(confidence, right, 0.95) == pytest.approx(confidence[40])
    assert calibration.least_confidence(confidence, np.zeros(101, bool), 0.95) is None
    assert calibration.least_confidence(confidence[:9], np.ones(9, bool), 0.95) is None  # too few cells
    assert calibration.least_confidence(np.full(20, 0.7), np.arange(20) < 10, 0.95) is None  # ties are one answer


def test_a_fitted_calibration_says_all_of_it():
    probabilities, labels, groups = drawn(3000, 20, 3.0)
    found = calibration.fitted(probabilities, labels, groups, 'validation fold')
    shares = calibration.tempered(probabilities, found.temperature)
    assert (found.cells, found.groups, found.source) == (3000, 20, 'validation fold')
    assert calibration.sets(shares, found)[np.arange(3000), labels].mean() == pytest.approx(0.9 * 21 / 20, abs=0.02)
    sure = calibration.certain(shares, found)
    assert (shares.argmax(1) == labels)[sure].mean() == pytest.approx(0.95, abs=0.01)
    assert 0.1 < sure.mean() < 0.9
    assert not [*found.problems()]
    with pytest.raises(ValueError, match='needs cells'):
        calibration.fitted(probabilities[:0], labels[:0], groups[:0], 'validation fold')


def test_a_model_that_is_never_sure_answers_nothing():
    never = Calibration(1.0, 0.9, 0.0, 0.95, None, 20, 10, 'inner folds')
    shares = np.array([[0.9, 0.1]])
    assert not calibration.certain(shares, never).any()
    assert calibration.sets(shares, never).all()
    damaged = never._replace(temperature=0.0, least=2.0)
    assert [*damaged.problems()] == [
        'has 0.0 for calibration.temperature, expected a positive number',
        'has 2.0 for calibration.least, expected 0 to 1',
    ]


def test_what_is_said_of_cells_is_measured_against_numbers_worked_out_by_hand():
    known = Calibration(1.0, 0.8, 0.25, 0.9, 0.7, 30, 12, 'validation fold')
    shares = np.array([[0.9, 0.1], [0.72, 0.28], [0.4, 0.6], [0.3, 0.7]])
    said = calibration.applied(shares, known)
    assert said.sets.tolist() == [[True, False], [True, True], [True, True], [True, True]]
    assert said.certain.tolist() == [True, True, False, True]
    found = calibration.measured(calibration.answers(said, np.array([1, 0, 0, 1]), np.array([5, 5, 7, 7])), 0.8)
    assert found['covered'] == 3 / 4  # not the first
    assert found['covered_by_group'] == {'mean': 0.75, 'lowest': 0.5, 'groups': 2, 'groups_that_reach_it': 1}
    assert found['set_size'] == 7 / 4
    assert (found['answered'], found['accuracy_of_answered']) == (3 / 4, pytest.approx(2 / 3))
    # bins of 1/15: 0.9 alone wrong, 0.72 and 0.7 together right, 0.6 alone wrong
    assert found['error_after'] == found['error_before'] == pytest.approx((0.9 + 0.28 + 0.3 + 0.6) / 4)
    sharp = calibration.applied(shares, known._replace(temperature=2.0))
    np.testing.assert_allclose(sharp.before, shares.max(1))
    np.testing.assert_allclose(sharp.probabilities[0], [3 / 4, 1 / 4])
    nobody = calibration.answers(
        calibration.applied(shares, known._replace(certain=None)), np.zeros(4, int), np.zeros(4, int)
    )
    assert calibration.measured(nobody, 0.8)['accuracy_of_answered'] is None
    assert calibration.as_said(shares, None) is shares
    np.testing.assert_allclose(calibration.as_said(shares, known._replace(temperature=2.0)), sharp.probabilities)
