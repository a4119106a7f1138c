import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.gradients import baseline_attribution

KEY = jax.random.key(0)
ACTS = {'relu': nn.relu, 'gelu': nn.gelu, 'elu': nn.elu, 'leaky': nn.leaky_relu, 'silu': nn.silu, 'tanh': jnp.tanh}
X = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
WEIGHTS = [np.random.default_rng(1).normal(size=size).astype(np.float32) for size in ((5, 6), (6, 4), (4, 3))]
TARGET = np.array([0, 1, 2])


def dense(act):
    def apply(params, x):
        first, second, last = params
        return act(act(x @ first) @ second) @ last

    return apply


def secants(x, base, act):
    """DeepLIFT of the dense network in numpy: each rectifier passes on the slope between baseline and input."""
    below, below_base = x @ WEIGHTS[0], base @ WEIGHTS[0]
    above, above_base = act(below) @ WEIGHTS[1], act(below_base) @ WEIGHTS[1]
    multipliers = WEIGHTS[2].T[TARGET]
    multipliers = multipliers * (act(above) - act(above_base)) / (above - above_base) @ WEIGHTS[1].T
    return multipliers * (act(below) - act(below_base)) / (below - below_base) @ WEIGHTS[0].T * (x - base)


@pytest.mark.parametrize('name', ['relu', 'tanh'])
def test_deep_lift_passes_on_the_slopes_of_secants(name):
    act = {'relu': lambda x: np.maximum(x, 0), 'tanh': np.tanh}[name]
    base = np.full_like(X, 0.2)
    found = gradients.deep_lift(dense(ACTS[name]), WEIGHTS, X, TARGET, baseline=0.2)
    np.testing.assert_allclose(found.map, secants(X, base, act), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.gap, 0, atol=1e-4)


@pytest.mark.parametrize('name', ACTS)
def test_a_function_of_one_value_counts_as_a_whole_however_it_is_made(name):
    """Of one layer the multiplier is known: the change after the function over that before it."""
    act = ACTS[name]
    weights = np.eye(5, dtype=np.float32)[:, :3]
    found = gradients.deep_lift(lambda weights, x: act(x) @ weights, weights, X, TARGET, baseline=0.3).map
    expected = (np.asarray(act(X)) - np.asarray(act(jnp.float32(0.3))))[:, :3] * np.eye(3)
    np.testing.assert_allclose(found[:, :3], expected, atol=1e-5)
    assert not np.asarray(found[:, 3:]).any()


def test_a_maximum_gives_its_change_to_who_was_the_largest():
    """As captum has it: up to where both largest values are, to the input's; beyond, to the baseline's."""
    x, base = np.float32([[3, 1], [1, 0]]), np.float32([[1, 2], [2, 0]])
    for largest in (lambda _, x: x.max(1, keepdims=True), lambda _, x: jnp.maximum(x[:, :1], x[:, 1:])):
        found = gradients.deep_lift(largest, None, x, 0, baseline=base)
        np.testing.assert_allclose(found.map, [[1, 0], [-1, 0]], atol=1e-6)
        np.testing.assert_allclose(found.gap, 0, atol=1e-6)


def test_a_product_of_two_that_change_is_divided_as_shapley_does():
    found = gradients.deep_lift(lambda _, x: x[:, :1] * x[:, 1:], None, np.float32([[3, 5]]), 0, baseline=1.0)
    np.testing.assert_allclose(found.map, [[(3 - 1) * (5 + 1) / 2, (5 - 1) * (3 + 1) / 2]])


def test_nothing_is_missed_through_attention_and_its_norms():
    model, x = tiny.Transformer(), tiny.images(3)
    found = gradients.deep_lift(model, tiny.variables(model), x, 1, baseline=0.3)
    assert np.abs(found.gap).max() < 1e-5 < 0.1 < np.abs(found.map).sum((1, 2, 3)).max()


def looped(weights, x):
    return jax.lax.scan(lambda carry, weight: (jnp.tanh(carry @ weight), None), x, weights)[0]


def test_a_loop_is_rolled_out_and_one_without_end_is_refused():
    weights, x = np.stack([WEIGHTS[0][:4, :4]] * 2), X[:, :4]
    found = gradients.deep_lift(looped, weights, x, TARGET, baseline=0.5)
    in_full = gradients.deep_lift(lambda w, x: jnp.tanh(jnp.tanh(x @ w[0]) @ w[1]), weights, x, TARGET, baseline=0.5)
    np.testing.assert_allclose(found.map, in_full.map, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.gap, 0, atol=1e-5)

    def endless(weights, x):
        return jax.lax.while_loop(lambda values: values.max() > 1, lambda values: values / 2, x @ weights[0])

    with pytest.raises(ValueError, match='deep_lift: the network has a loop'):
        gradients.deep_lift(endless, weights, x, TARGET)


def test_expected_gradients_are_a_mean_over_points_drawn_between_baselines_and_input():
    apply, baselines = dense(jnp.tanh), X[1:] / 2
    found = gradients.gradient_shap(apply, WEIGHTS, X, TARGET, key=KEY, baselines=baselines, samples=3, sigma=0.1)
    expected, at_base = np.zeros_like(X), 0
    for sample in range(3):
        drawn = baseline_attribution.draw(jax.random.fold_in(KEY, sample), jnp.asarray(X), 2)
        base, end = baselines[drawn.baseline], X + 0.1 * drawn.noise
        point = base + drawn.place[:, None] * (end - base)
        expected += np.asarray(gradients.saliency(apply, WEIGHTS, point, TARGET).map * (end - base)) / 3
        at_base += np.asarray(apply(WEIGHTS, base))[np.arange(3), TARGET] / 3
    np.testing.assert_allclose(found.map, expected, rtol=1e-4, atol=1e-5)
    change = np.asarray(apply(WEIGHTS, X))[np.arange(3), TARGET] - at_base
    np.testing.assert_allclose(found.gap, expected.sum(1) - change, rtol=1e-3, atol=1e-4)


def test_the_gap_of_expected_gradients_shrinks_with_samples():
    gaps = [
        np.abs(gradients.gradient_shap(dense(jnp.tanh), WEIGHTS, X, TARGET, key=KEY, samples=samples).gap).max()
        for samples in (2, 200)
    ]
    assert gaps[1] < gaps[0] / 2
