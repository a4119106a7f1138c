import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.gradients.intermediates import with_layer

MODEL = tiny.Tiny()
X = jnp.asarray(tiny.images(2))
TARGET = np.array([2, 1])


@pytest.fixture(scope='module')
def maps(variables):
    return np.asarray(gradients.layer_output(MODEL, variables, X, 'body'))


def logits_of(variables, x):
    return np.asarray(MODEL.apply(variables, x))[np.arange(len(x)), TARGET[: len(x)]]


def test_score_cam_weights_channels_by_the_logit_of_what_each_shows(variables, maps):
    scores = np.empty((2, 4))
    for channel in range(4):
        large = np.asarray(gradients.resize_map(jnp.asarray(maps[..., channel]), 8))
        least, most = (function(large, (1, 2), keepdims=True) for function in (np.min, np.max))
        scores[:, channel] = logits_of(variables, X * ((large - least) / (most - least))[..., None])
    weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    expected = np.maximum((maps * weights[:, None, None]).sum(-1), 0)
    found = gradients.score_cam(MODEL, variables, X, TARGET, layer='body', batch_size=3).map
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert expected.any()


def test_ablation_cam_weights_channels_by_the_share_of_the_logit_that_goes_with_them(variables, maps):
    whole, call = logits_of(variables, X), with_layer(MODEL.apply, 'body')
    weights = np.empty((2, 4))
    for channel in range(4):
        without = maps.copy()
        without[..., channel] = 0
        left = np.asarray(call(variables, X, value=jnp.asarray(without)).logits)[np.arange(2), TARGET]
        weights[:, channel] = (whole - left) / whole
    expected = np.maximum((maps * weights[:, None, None]).sum(-1), 0)
    found = gradients.ablation_cam(MODEL, variables, X, TARGET, layer='body', batch_size=3).map
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    assert expected.any()


def test_eigen_cam_is_along_the_first_component_towards_larger_channels(variables, maps):
    found = np.asarray(gradients.eigen_cam(MODEL, variables, X, layer='body').map)
    for row, one in zip(found, maps, strict=True):
        flat = one.reshape(-1, 4) - one.reshape(-1, 4).mean(0)
        along = flat @ np.linalg.svd(flat)[2][0]
        along *= np.sign((along * flat.mean(1)).sum())
        np.testing.assert_allclose(row.ravel(), np.maximum(along, 0), rtol=1e-3, atol=1e-4)


def test_guided_grad_cam_is_the_product_of_both(variables):
    guided = np.asarray(gradients.guided_backprop(MODEL, variables, X, TARGET).map)
    coarse = gradients.grad_cam(MODEL, variables, X, TARGET, layer='body').map
    found = gradients.guided_grad_cam(MODEL, variables, X, TARGET, layer='body').map
    np.testing.assert_allclose(found, guided * np.asarray(gradients.resize_map(coarse, 8))[..., None], rtol=1e-5)


def test_hires_cam_is_the_gradient_times_the_map(variables, maps):
    call = with_layer(MODEL.apply, 'body')

    def logits(offset):
        return call(variables, X, offset).logits[np.arange(2), TARGET].sum()

    slopes = np.asarray(jax.grad(logits)(jnp.zeros(maps.shape)))
    found = gradients.grad_cam(MODEL, variables, X, TARGET, layer='body', kind='hirescam').map
    np.testing.assert_allclose(found, np.maximum((slopes * maps).sum(-1), 0), rtol=1e-4, atol=1e-6)


def test_tokens_of_images_are_put_on_their_grid():
    model = tiny.Transformer()
    variables = tiny.variables(model)
    for method in (gradients.score_cam, gradients.ablation_cam, gradients.eigen_cam):
        assert method(model, variables, X, TARGET, layer='norm0').map.shape == (2, 4, 4)
