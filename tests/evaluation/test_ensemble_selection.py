"""The weights of an average: against plain NumPy, never worse than the best candidate, at most so many of them."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss as sklearn_log_loss
from sklearn.metrics import recall_score

from alljax.evaluation import ensemble_selection
from alljax.evaluation.ensemble_selection import error, log_loss

LABELS = np.array([0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2])


def candidates(count=4, seed=0):
    rng = np.random.default_rng(seed)
    truth = 1.5 * np.eye(3)[LABELS]
    return softmax(truth + rng.normal(0, 1.5, (count, len(LABELS), 3)), -1)


def test_the_loss_is_scikit_learns_with_each_class_of_the_same_weight():
    shares = candidates()[0]
    weights = 1 / np.bincount(LABELS)[LABELS]
    assert log_loss(shares, LABELS) == pytest.approx(sklearn_log_loss(LABELS, shares, sample_weight=weights))
    without = np.eye(3)[(LABELS + 1) % 3]  # sure and wrong, as neighbors that vote can be
    assert log_loss(without, LABELS) == pytest.approx(-np.log(ensemble_selection.LEAST))


def test_best_and_all():
    table = candidates()
    recalls = [recall_score(LABELS, one.argmax(1), average='macro') for one in table]
    np.testing.assert_array_equal(ensemble_selection.weights(table, LABELS, 'best', 3), np.eye(4)[np.argmax(recalls)])
    surer = np.stack([table[0], table[0] ** 0.5 / (table[0] ** 0.5).sum(1, keepdims=True)])
    losses = [log_loss(one, LABELS) for one in surer]  # of the same recall
    np.testing.assert_array_equal(ensemble_selection.weights(surer, LABELS, 'best', 3), np.eye(2)[np.argmin(losses)])
    np.testing.assert_array_equal(ensemble_selection.weights(table, LABELS, 'all', 1), np.full(4, 0.25))


def test_a_sure_model_that_is_often_right_is_better_than_a_blind_guess():
    sure = np.eye(3)[np.where(np.arange(12) % 3 == 0, (LABELS + 1) % 3, LABELS)]
    table = np.stack([np.full((12, 3), 1 / 3), sure])
    assert log_loss(table[0], LABELS) < log_loss(table[1], LABELS)
    assert ensemble_selection.weights(table, LABELS, 'best', 1).tolist() == [0, 1]


@pytest.mark.parametrize('most', [1, 2, 3])
def test_the_average_is_never_worse_than_the_best_and_has_at_most_so_many(most):
    for seed in range(20):
        table = candidates(seed=seed)
        found = ensemble_selection.weights(table, LABELS, 'average', most)
        assert found.sum() == pytest.approx(1)
        assert np.count_nonzero(found) <= most
        reached = error(np.tensordot(found, table, 1), LABELS)
        best = min(error(one, LABELS) for one in table)
        assert reached.missed < best.missed or reached.log_loss <= best.log_loss + 1e-9
        assert reached.missed <= best.missed


def test_two_that_err_on_other_cells_get_equal_weights_and_a_useless_one_none():
    right, wrong = np.array([0.7, 0.15, 0.15]), np.array([0.2, 0.4, 0.4])
    table = np.empty((3, 12, 3))
    for place, label in enumerate(LABELS):
        first = place % 2 == 0
        table[0, place] = np.roll(right if first else wrong, label)
        table[1, place] = np.roll(wrong if first else right, label)
        table[2, place] = np.roll([0.05, 0.9, 0.05], label)
    np.testing.assert_allclose(ensemble_selection.weights(table, LABELS, 'average', 3), [0.5, 0.5, 0])
