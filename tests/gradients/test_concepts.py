import jax
import numpy as np
import pytest
import scipy.stats
import tiny
from sklearn.linear_model import Ridge

from alljax import gradients
from alljax.gradients import concepts

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
ONE, OTHER = RNG.normal(size=(6, 4)).astype(np.float32) + 1, RNG.normal(size=(9, 4)).astype(np.float32)


def test_the_vector_is_the_normal_of_a_ridge_classifier_and_its_accuracy_leaves_one_out():
    rows, labels = np.concatenate([ONE, OTHER]).astype(float), np.repeat([1, -1], [6, 9])
    centered = rows - rows.mean(0)
    alpha = 0.01 * (centered**2).sum() / 15
    expected = Ridge(alpha=alpha).fit(rows, labels).coef_
    right = 0
    for out in range(15):
        kept = np.arange(15) != out
        right += (Ridge(alpha=alpha).fit(rows[kept], labels[kept]).predict(rows[out : out + 1])[0] > 0) == (out < 6)
    with jax.enable_x64(True):
        found = gradients.concept_vector(ONE.astype(float), OTHER.astype(float))
    np.testing.assert_allclose(found.direction, expected / np.linalg.norm(expected), rtol=1e-6)
    assert float(found.accuracy) == pytest.approx(right / 15)
    assert 0.5 < found.accuracy < 1


def test_the_p_value_is_that_of_welch():
    one, other = RNG.uniform(size=7), RNG.uniform(size=9) + 0.3
    with jax.enable_x64(True):
        found = float(concepts.welch_p_value(jax.numpy.asarray(one), jax.numpy.asarray(other)))
        same = [float(concepts.welch_p_value(jax.numpy.ones(3), jax.numpy.full(3, value))) for value in (1.0, 0.5)]
    assert found == pytest.approx(scipy.stats.ttest_ind(one, other, equal_var=False).pvalue, rel=1e-9)
    assert same == [1, 0]


def test_a_concept_that_the_class_rests_on_is_told_from_one_that_it_does_not():
    random = RNG.normal(size=(24, 8, 8, 3)).astype(np.float32)
    red, blue = random[:10].copy(), random[:10].copy()
    red[..., 0] += 1
    blue[..., 2] += 1
    split = gradients.SplitNetwork(lambda _, x: x.mean((1, 2)), lambda _, mean: mean[:, :1] * np.float32([[1, -1]]))
    x = tiny.images(6)
    told = gradients.tcav(split, np.float32(1), x, 0, concept=red, random=random, key=KEY, runs=40)
    assert (told.score, told.accuracy) == (1, pytest.approx(1, abs=0.05))
    assert told.p_value < 0.01
    assert 0 <= told.by_chance < 1
    against = gradients.tcav(split, np.float32(1), x, 1, concept=red, random=random, key=KEY, runs=40)
    assert against.score == 0
    beside = gradients.tcav(split, np.float32(1), x, 0, concept=blue, random=random, key=KEY, runs=40)
    assert beside.p_value > 0.01
    np.testing.assert_allclose(beside.scores.mean(), beside.score, rtol=1e-6)
