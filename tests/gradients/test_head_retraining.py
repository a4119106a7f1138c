"""Heads fitted to convergence, what leaving examples out does, and the scores of measures of influence."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import spearmanr

from alljax import gradients

RIDGE, COUNT = 0.02, 12
Y = np.arange(COUNT) % 3
X = np.random.default_rng(0).normal(size=(COUNT, 5)) + np.eye(3, 5)[Y]


@pytest.fixture(scope='module', autouse=True)
def _in_float64():
    with jax.enable_x64(True):
        yield


def slope(weights, x, y, ridge, count=None):
    """The gradient of the objective, in NumPy."""
    shares = np.exp(x @ weights)
    shares /= shares.sum(1, keepdims=True)
    return x.T @ (shares - np.eye(3)[y]) / (count or len(x)) + ridge * weights


def test_each_head_is_the_best_for_its_examples():
    kept = np.ones((3, COUNT), bool)
    kept[1, 4:6], kept[2, ::2] = False, False
    found = gradients.fit_linear_heads(X, Y, ridge=RIDGE, example_weights=kept)
    for head, rows in zip(np.asarray(found.weights), kept, strict=True):
        assert np.abs(slope(head, X[rows], Y[rows], RIDGE, COUNT)).max() < 1e-10
    batches = gradients.fit_linear_heads(X, Y, ridge=RIDGE, example_weights=kept, batch_size=2)
    np.testing.assert_allclose(batches.weights, found.weights, rtol=1e-9, atol=1e-12)


def test_more_features_than_examples_are_turned_without_loss():
    wide = np.random.default_rng(1).normal(size=(COUNT, 30))
    found = np.asarray(gradients.fit_linear_heads(wide, Y, ridge=RIDGE).weights[0])
    assert np.abs(slope(found, wide, Y, RIDGE)).max() < 1e-10


def test_leaving_one_out_is_fitting_without_it():
    rises = gradients.leave_one_out((X, Y), (X[:2], Y[:2]), ridge=RIDGE, batch_size=5)
    assert rises.shape == (2, COUNT)
    rest = np.arange(COUNT) != 7
    one, whole = (
        gradients.fit_linear_heads(X[rows], Y[rows], ridge=RIDGE * COUNT / len(X[rows])).weights[0]
        for rows in (rest, np.full(COUNT, True))
    )

    def losses(weights):
        return -np.asarray(jax.nn.log_softmax(X[:2] @ weights))[range(2), Y[:2]]

    np.testing.assert_allclose(rises[:, 7], losses(one) - losses(whole), rtol=1e-7)


def test_margins_of_subsets_and_held_out_losses_are_those_of_their_heads():
    folds = np.arange(COUNT) // 4
    subsets = folds != np.arange(3)[:, None]
    heads = np.asarray(gradients.fit_linear_heads(X, Y, ridge=RIDGE, example_weights=subsets).weights)
    shares = np.asarray(jax.nn.softmax(np.einsum('nf,hfc->hnc', X, heads)))[:, range(COUNT), Y]
    found = gradients.subset_margins((X, Y), (X, Y), subsets, ridge=RIDGE)
    np.testing.assert_allclose(found, np.log(shares / (1 - shares)), rtol=1e-7)
    losses = gradients.held_out_losses(X, Y, folds, ridge=RIDGE)
    np.testing.assert_allclose(losses, -np.log(shares[folds, range(COUNT)]), rtol=1e-7)


def test_representer_points_add_up_to_the_logit():
    found = gradients.representer_points((X, Y), (X[:4] + 1, Y[:4]), ridge=RIDGE)
    weights = gradients.fit_linear_heads(X, Y, ridge=RIDGE).weights[0]
    np.testing.assert_allclose(found.sum(1), np.asarray((X[:4] + 1) @ weights)[range(4), Y[:4]], rtol=1e-7)


def test_what_cannot_be_fitted_is_told():
    with pytest.raises(ValueError, match=r'ridge is 0\.0; expected a finite number above 0'):
        gradients.fit_linear_heads(X, Y, ridge=0.0)
    with pytest.raises(ValueError, match='folds are all the same'):
        gradients.held_out_losses(X, Y, np.zeros(COUNT, int), ridge=RIDGE)


@pytest.mark.slow
def test_a_head_that_does_not_converge_is_told():
    with jax.enable_x64(False), pytest.raises(ValueError, match=r'ridge is 0\.02, and after 50 steps'):
        gradients.fit_linear_heads(np.float32(1e20) * np.float32(X), Y, ridge=RIDGE)  # whose squares overflow


def test_the_datamodeling_score_is_a_rank_correlation_of_sums():
    rng = np.random.default_rng(0)
    influence, outputs = rng.normal(size=(2, 6)), np.round(rng.normal(size=(9, 2)), 0)  # with ties
    subsets = rng.random((9, 6)) < 0.5
    found = gradients.linear_datamodeling_score(influence, subsets, outputs)
    expected = [spearmanr(subsets @ influence[i], outputs[:, i]).statistic for i in range(2)]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_detection_counts_pairs_and_the_first():
    rng = np.random.default_rng(0)
    wrong, scores = np.arange(40) < 6, np.round(rng.normal(size=40), 1)
    scores[wrong] += 1
    found = gradients.mislabel_detection(scores, wrong, share=0.1)
    pairs = np.subtract.outer(scores[wrong], scores[~wrong])
    np.testing.assert_allclose(found.auc, ((pairs > 0) + 0.5 * (pairs == 0)).mean(), rtol=1e-9)
    assert found.auc_low < found.auc < found.auc_high
    assert found.first == 4
    assert found.precision_low < found.precision <= found.precision_high
    best = gradients.mislabel_detection(wrong * 1.0, wrong, share=0.15)
    assert (best.auc, best.precision, best.auc_low) == (1, 1, 1)
    none = gradients.mislabel_detection(jnp.zeros(40), wrong)
    np.testing.assert_allclose((none.auc, none.precision), (0.5, 6 / 40), rtol=1e-6)
    # an interval by the definition of DeLong et al.: the variances of both sides' parts of pairs
    parts = ((pairs > 0) + 0.5 * (pairs == 0)).mean(1), ((pairs > 0) + 0.5 * (pairs == 0)).mean(0)
    error = np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts))
    np.testing.assert_allclose(found.auc - found.auc_low, 1.959964 * error, rtol=1e-6)
