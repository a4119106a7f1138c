"""Inputs of any rank: tables, sequences, tokens and volumes; networks of one output; regressions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(4, 6)).astype(np.float32)
SEQUENCE = RNG.normal(size=(4, 6, 2)).astype(np.float32)
VOLUME = RNG.normal(size=(4, 2, 3, 2, 2)).astype(np.float32)
NUMBERS = RNG.normal(size=4).astype(np.float32)
TOKENS = RNG.integers(0, 5, (4, 6))
INPUTS = {'table': TABLE, 'sequence': SEQUENCE, 'volume': VOLUME, 'numbers': NUMBERS}
Y = np.array([0, 1, 2, 1])


def cubic(weights, x):
    """Logits that are sums of weighted cubes; all that is said of its attributions can be computed by hand."""
    return (x**3).reshape(len(x), -1) @ weights


def weights_of(x):
    return np.random.default_rng(1).normal(size=(x[0].size, 3)).astype(np.float32)


def of_target(weights, x):
    return weights.T[Y].reshape(x.shape)


@pytest.mark.parametrize('kind', INPUTS)
def test_attribution_to_inputs_of_any_rank_is_as_by_hand(kind):
    x = INPUTS[kind]
    weights = weights_of(x)
    slope = 3 * x**2 * of_target(weights, x)
    np.testing.assert_allclose(gradients.saliency(cubic, weights, x, Y).map, slope, rtol=1e-4, atol=1e-5)
    found = gradients.integrated_gradients(cubic, weights, x, Y, steps=2, batch_size=3)
    np.testing.assert_allclose(found.map, x**3 * of_target(weights, x), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.gap, 0, atol=1e-4)
    smooth = gradients.smoothgrad(gradients.saliency, key=KEY, samples=2, sigma=0.0)(cubic, weights, x, Y)
    np.testing.assert_allclose(smooth.map, slope, rtol=1e-4, atol=1e-5)


def by_feature(weights, x):
    return x.reshape(len(x), -1) @ weights


def test_hiding_works_along_all_positions():
    weights = weights_of(TABLE)
    found = gradients.occlusion(by_feature, weights, TABLE, Y, window=1, stride=1).map
    np.testing.assert_allclose(found, TABLE * of_target(weights, TABLE), rtol=1e-3, atol=1e-5)
    weights = weights_of(SEQUENCE)
    parts = (SEQUENCE * of_target(weights, SEQUENCE)).sum(2)
    found = gradients.occlusion(by_feature, weights, SEQUENCE, Y, window=2, stride=2).map
    np.testing.assert_allclose(found, np.repeat(parts.reshape(4, 3, 2).sum(2), 2, 1), rtol=1e-3, atol=1e-5)
    assert gradients.rise(by_feature, weights, SEQUENCE, Y, key=KEY, masks=3, cells=2).map.shape == (4, 6)
    first = np.zeros((4, 6), np.float32) + np.arange(6, 0, -1)
    curve = gradients.deletion(by_feature, weights, SEQUENCE, Y, first, steps=6, score='output').probability
    np.testing.assert_allclose(curve[:, 1] - curve[:, 2], parts[:, 1], rtol=1e-3, atol=1e-4)
    assert gradients.localization(first, np.ones((4, 6), bool)).mass.shape == (4,)


def embedded(params, tokens):
    return jnp.take(params['embedding'], tokens, axis=0)


def logits_of_embedded(params, x):
    return jnp.tanh(x).reshape(len(x), -1) @ params['weights']


TEXT = gradients.SplitNetwork(embedded, logits_of_embedded)
PARAMS = {'embedding': RNG.normal(size=(5, 2)).astype(np.float32), 'weights': weights_of(SEQUENCE)}


@pytest.mark.slow
def test_tokens_are_attributed_at_their_embedding():
    whole = gradients.saliency(logits_of_embedded, PARAMS, PARAMS['embedding'][TOKENS], Y).map
    found = gradients.saliency(TEXT, PARAMS, TOKENS, Y, layer='features').map
    np.testing.assert_allclose(found, whole, rtol=1e-5)
    found = gradients.integrated_gradients(TEXT, PARAMS, TOKENS, Y, layer='features', baseline=0)
    base = np.broadcast_to(PARAMS['embedding'][0], (4, 6, 2))
    expected = gradients.integrated_gradients(
        logits_of_embedded, PARAMS, PARAMS['embedding'][TOKENS], Y, baseline=base
    )  # fmt: skip
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    assert gradients.grad_cam(TEXT, PARAMS, TOKENS, Y).map.shape == (4, 6)
    assert gradients.deletion(TEXT, PARAMS, TOKENS, Y, found.map.sum(2), steps=2, baseline=0).area.shape == (4,)
    with pytest.raises(ValueError, match=r'saliency: x is int64: .*name the layer of their embedding'):
        gradients.saliency(TEXT, PARAMS, TOKENS, Y)


@pytest.mark.parametrize('flat', [True, False])
def test_a_network_of_one_output_needs_no_target(flat):
    def apply(weights, x):
        output = x @ weights
        return output if flat else output[:, None]

    weights = weights_of(TABLE)[:, 0]
    expected = np.broadcast_to(weights, (4, 6))
    for target in (None, 0):
        np.testing.assert_allclose(gradients.saliency(apply, weights, TABLE, target).map, expected, rtol=1e-6)
    found = gradients.deletion(apply, weights, TABLE, None, np.abs(TABLE), steps=6)
    np.testing.assert_allclose(found.probability[:, 0], TABLE @ weights, rtol=1e-4)  # no probability of one class
    kernel = gradients.neural_tangent_kernel(apply, weights, TABLE, TABLE[:2])
    np.testing.assert_allclose(kernel[:, :, 0, 0], TABLE @ TABLE[:2].T, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match='target is None, and the network has 3 outputs'):
        gradients.saliency(by_feature, weights_of(TABLE), TABLE, None)
    with pytest.raises(ValueError, match='apply has one output, whose cross-entropy is always zero'):
        gradients.curvature_operator(apply, weights, TABLE, None)


def test_inputs_and_labels_of_different_lengths_are_told_before_the_network_is_asked():
    with tiny.unchecked(), pytest.raises(ValueError, match=r'saliency: target has shape \(3,\) for 4 images'):
        gradients.saliency(None, None, TABLE, Y[:3])
