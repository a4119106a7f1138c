"""Scores of cells unlike the training cells, against scikit-learn, SciPy and numbers worked out by hand."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from sklearn.covariance import LedoitWolf

from alljax.evaluation import feature_likeness

RNG = np.random.default_rng(0)


def cells(features, each=30):
    """Three classes of features on different scales, which vary together."""
    labels = np.repeat([0, 2, 3], each)  # a class may be missing
    mixed = RNG.normal(size=(3 * each, features)) @ RNG.normal(size=(features, features))
    rows = (mixed + 4 * labels[:, None] * RNG.normal(size=features)) * np.linspace(0.1, 50, features)
    return rows, labels


@pytest.mark.parametrize('features', [5, 140])  # fewer and more than cells
def test_mahalanobis_is_that_of_the_nearest_class_under_the_shrunk_covariance(features):
    rows, labels = cells(features)
    new = rows[::7] + RNG.normal(size=features) * rows.std(0)
    known = feature_likeness.reference('mahalanobis', rows, labels)
    found = feature_likeness.scores('mahalanobis', known, new)
    train, test = ((these - rows.mean(0)) / rows.std(0) for these in (rows, new))
    means = np.stack([train[labels == label].mean(0) for label in (0, 2, 3)])
    away = train - means[np.searchsorted([0, 2, 3], labels)]
    covariance = LedoitWolf(assume_centered=True).fit(away)
    expected = np.min([covariance.mahalanobis(test - mean) for mean in means], axis=0)
    np.testing.assert_allclose(found, np.sqrt(expected), rtol=1e-6)


def test_knn_is_the_distance_from_the_fifth_of_length_1():
    rows, labels = cells(8)
    known, new = feature_likeness.reference('knn', rows, labels), RNG.normal(size=(9, 8))
    train, test = ((these - rows.mean(0)) / rows.std(0) for these in (rows, new))
    train, test = (these / np.linalg.norm(these, axis=1, keepdims=True) for these in (train, test))
    expected = np.sort(cdist(test, train), axis=1)[:, 4]
    np.testing.assert_allclose(feature_likeness.scores('knn', known, new), expected, rtol=1e-6)
    few = feature_likeness.reference('knn', rows[:3], labels[:3])
    assert np.isfinite(feature_likeness.scores('knn', few, new)).all()  # of three the farthest


def test_energy_is_that_of_the_logits():
    assert feature_likeness.reference('energy', np.zeros((2, 3)), np.zeros(2, int)) is None
    found = feature_likeness.scores('energy', None, np.array([[0.0, 0.0], [1000.0, 0.0]]))
    np.testing.assert_allclose(found, [-np.log(2), -1000])


def test_a_constant_feature_changes_nothing():
    rows, labels = cells(4)
    constant = np.column_stack([rows, np.full(len(rows), 7.0)])
    for score in ('mahalanobis', 'knn'):
        found = [
            feature_likeness.scores(score, feature_likeness.reference(score, these, labels), these[:5])
            for these in (rows, constant)
        ]
        np.testing.assert_allclose(found[1], found[0], rtol=0.05)  # but for the shrinkage


@pytest.mark.parametrize('score', ['mahalanobis', 'knn'])
def test_each_group_is_scored_by_the_others(score):
    rows, labels = cells(6)
    groups = np.arange(len(rows)) % 4
    found = feature_likeness.left_out_scores(score, rows, labels, groups)
    without = feature_likeness.reference(score, rows[groups != 2], labels[groups != 2])
    np.testing.assert_allclose(found[groups == 2], feature_likeness.scores(score, without, rows[groups == 2]))
    many = feature_likeness.left_out_scores(score, rows, labels, np.arange(len(rows)))  # in ten parts
    without = feature_likeness.reference(score, rows[np.arange(90) % 10 != 3], labels[np.arange(90) % 10 != 3])
    np.testing.assert_allclose(many[3::10], feature_likeness.scores(score, without, rows[3::10]))


def test_the_limit_is_where_a_twentieth_lies_beyond():
    assert feature_likeness.limit(np.arange(101.0)) == 95
