"""ANFIS and PNN where the boundary is known, and what every classifier has to keep."""

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone

from alljax.baselines.classify import CLASSIFIERS, anfis
from alljax.baselines.classify.anfis import Anfis
from alljax.baselines.classify.estimators import Hierarchy, Svm
from alljax.baselines.classify.pnn import Pnn

RNG = np.random.default_rng(0)


def two_bells(count=300, seed=0):
    """Two Gaussians of equal width at -1 and 1 of the first axis: the best boundary is the line between, at 0."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 2
    x = rng.normal(0, 0.7, (count, 2))
    x[:, 0] += 2 * y - 1
    return x, y


def ring(count=500, seed=0):
    """Class 1 within the unit circle: no line parts the two."""
    x = np.random.default_rng(seed).uniform(-2, 2, (count, 2))
    return x, (np.hypot(*x.T) < 1).astype(int)


@pytest.mark.parametrize('made', [Pnn(0.4), Anfis(2), *(CLASSIFIERS[name].make(0) for name in ('logistic', 'lda'))])
def test_the_boundary_between_two_bells_is_in_the_middle(made):
    x, y = two_bells()
    fitted = clone(made).fit(x, y)
    test, truth = two_bells(2000, 1)
    best = stats.norm.cdf(1 / 0.7)  # what no classifier can exceed by much
    assert (fitted.predict(test) == truth).mean() > best - 0.02
    along = np.stack([np.linspace(-2, 2, 401), np.zeros(401)], 1)
    crossing = along[np.abs(fitted.predict_proba(along)[:, 1] - 0.5).argmin(), 0]
    assert abs(crossing) < 0.2


@pytest.mark.parametrize('made', [Pnn(0.15), Anfis(8, epochs=40)])
def test_a_circle_is_learned(made):
    x, y = ring()
    fitted = clone(made).fit(x, y)
    test, truth = ring(2000, 1)
    assert (fitted.predict(test) == truth).mean() > 0.93
    angle = np.linspace(0, 2 * np.pi, 60)
    rim = np.stack([np.cos(angle), np.sin(angle)], 1)
    assert (fitted.predict(0.75 * rim) == 1).mean() > 0.9
    assert (fitted.predict(1.3 * rim) == 0).mean() > 0.9


def test_the_pnn_is_a_ratio_of_kernel_densities():
    x, y = two_bells(60)
    width = 0.5
    found = Pnn(width).fit(x, y).predict_proba(x[:7])
    sides = []
    for label in (0, 1):
        members = x[y == label]
        gauss = stats.multivariate_normal(np.zeros(2), width**2 * 2 * np.eye(2))  # times the number of features
        sides.append([gauss.pdf(one - members).mean() for one in x[:7]])
    np.testing.assert_allclose(found[:, 1], np.array(sides[1]) / np.sum(sides, 0), rtol=1e-9)


def test_far_from_everything_the_pnn_still_says_something():
    x, y = two_bells(60)
    found = Pnn(0.1).fit(x, y).predict_proba(np.array([[1e4, 0.0], [-1e4, 0.0]]))
    np.testing.assert_allclose(found, [[0, 1], [1, 0]], atol=1e-6)


def test_the_slope_of_anfis_is_that_of_finite_differences():
    x, y = two_bells(40)
    target, premises = np.eye(2)[y], anfis._start(x, 3)
    conclusions = anfis._solved(x, target, premises)
    slope = anfis._slope(x, target, premises, conclusions)
    for part in range(2):
        for place in np.ndindex(premises[part].shape):
            moved = []
            for step in (1e-6, -1e-6):
                other = [leaf.copy() for leaf in premises]
                other[part][place] += step
                moved.append(anfis._error(x, target, anfis.Rules(*other), conclusions))
            assert slope[part][place] == pytest.approx((moved[0] - moved[1]) / 2e-6, rel=1e-4, abs=1e-6)


def test_training_lowers_the_error_and_one_rule_is_a_linear_fit():
    x, y = ring(200)
    errors = []
    for epochs in (0, 5, 40):
        made = Anfis(4, epochs=epochs).fit(x, y)
        premises = anfis.Rules(made.centers_, made.log_widths_)
        errors.append(anfis._error(x, np.eye(2)[y], premises, made.conclusions_))
    assert errors[0] > errors[1] > errors[2]
    one = Anfis(1, epochs=0).fit(x, y)
    design = np.concatenate([x, np.ones((200, 1))], 1)
    ridge = design.T @ design + anfis.RIDGE * 200 * np.eye(3)
    np.testing.assert_allclose(one.conclusions_[0], np.linalg.solve(ridge, design.T @ np.eye(2)[y]), atol=1e-10)


def four(count=160, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(count) % 4
    x = rng.normal(size=(count, 5))
    x[np.arange(count), y] += 3
    return x, y


@pytest.mark.parametrize('name', CLASSIFIERS)
def test_probabilities_sum_to_one_and_the_largest_is_predicted(name):
    x, y = four()
    fitted = CLASSIFIERS[name].make(0).fit(x, y)
    test, truth = four(80, 1)
    shares = fitted.predict_proba(test)
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-9)
    assert shares.min() >= 0
    np.testing.assert_array_equal(fitted.classes_[shares.argmax(1)], fitted.predict(test))
    assert (fitted.predict(test) == truth).mean() > 0.75


def test_a_vote_is_a_share():
    x, y = four()
    vote = CLASSIFIERS['vote'].make(0).fit(x, y)
    shares = vote.predict_proba(x[:10])
    assert set(np.round(shares * 4).astype(int).ravel()) <= {0, 1, 2, 3, 4}
    np.testing.assert_allclose(shares * 4, np.round(shares * 4))
    members = np.array([member.predict(x[:10]) for member in vote.estimators_])
    np.testing.assert_allclose(shares[:, 2] * 4, (members == 2).sum(0))


def test_a_hierarchy_decides_normal_first_and_keeps_the_order_of_classes():
    x, y = four(400)
    normal = 1  # not the last class, so that the columns have to be put in order
    tree = Hierarchy(normal, Svm(), Svm()).fit(x, y)
    test, truth = four(400, 1)
    shares, said = tree.predict_proba(test), tree.predict(test)
    assert tree.classes_.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(shares.sum(1), 1, atol=1e-9)
    np.testing.assert_array_equal(said == normal, tree.first.predict(test) == 1)
    ill = said != normal
    np.testing.assert_array_equal(said[ill], tree.second.predict(test)[ill])
    assert (said == truth).mean() > 0.85
