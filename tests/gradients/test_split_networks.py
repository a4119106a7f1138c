"""Layers inside a network: gradients to them, and networks of any library given as features and head."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.gradients import token_grid

X, Y = tiny.images(4), np.array([0, 1, 2, 1])
MODEL = tiny.Tiny()


def features(variables, x):
    stem = nn.Conv(4, (3, 3)).apply({'params': variables['params']['stem']}, x)
    return nn.Conv(4, (3, 3), (2, 2)).apply({'params': variables['params']['body']}, nn.relu(stem))


def head(variables, output):
    return nn.Dense(3).apply({'params': variables['params']['head']}, nn.relu(output).reshape(len(output), -1))


SPLIT = gradients.SplitNetwork(features, head)
PAIR = gradients.SplitNetwork(lambda variables, x: (features(variables, x), x.mean()), lambda v, pair: head(v, pair[0]))


@pytest.mark.parametrize('network', [SPLIT, PAIR], ids=['array', 'tuple'])
def test_features_and_head_are_the_layer_between_them(variables, network):
    for kind in ('gradcam', 'layercam'):
        expected = gradients.grad_cam(MODEL, variables, X, Y, layer='body', kind=kind).map
        np.testing.assert_allclose(gradients.grad_cam(network, variables, X, Y, kind=kind).map, expected, rtol=1e-3,
                                   atol=1e-5)  # fmt: skip
    np.testing.assert_allclose(
        gradients.layer_output(network, variables, X), gradients.layer_output(MODEL, variables, X, 'body'),
        rtol=1e-4, atol=1e-5,
    )  # fmt: skip
    assert gradients.layer_names(network, variables, X)[-1] == 'features'
    found = gradients.saliency(network, variables, X, Y, layer='features').map
    np.testing.assert_allclose(found, gradients.saliency(MODEL, variables, X, Y, layer='body').map, atol=1e-5)
    found = gradients.saliency(network, variables, X, Y).map
    np.testing.assert_allclose(found, gradients.saliency(MODEL, variables, X, Y).map, atol=1e-5)


def test_the_gradient_to_a_layer_is_that_of_what_follows(variables):
    output = gradients.layer_output(MODEL, variables, X, 'body')
    slope = jax.grad(lambda output: head(variables, output)[jnp.arange(4), Y].sum())(output)
    found = gradients.saliency(MODEL, variables, X, Y, layer='body', times_input=True, batch_size=3).map
    np.testing.assert_allclose(found, slope * output, rtol=1e-3, atol=1e-5)


def test_integrated_gradients_at_a_layer_sum_to_the_change_of_the_logit(variables):
    found, gap = gradients.integrated_gradients(MODEL, variables, X, Y, layer='body', steps=64, batch_size=3)
    logits = [MODEL.apply(variables, x)[np.arange(4), Y] for x in (X, 0 * X)]
    assert found.shape == (4, 4, 4, 4)
    np.testing.assert_allclose(found.sum((1, 2, 3)), logits[0] - logits[1], atol=1e-2)
    np.testing.assert_allclose(gap, 0, atol=1e-2)
    output = [gradients.layer_output(MODEL, variables, x, 'body') for x in (X, 0 * X)]
    whole = gradients.integrated_gradients(head, variables, output[0], Y, baseline=output[1]).map
    np.testing.assert_allclose(found, whole, rtol=1e-3, atol=1e-4)


class Tokens(nn.Module):
    """Patches of 4 pixels and two tokens before them; an attention that gives a tuple."""

    @nn.compact
    def __call__(self, x):
        patches = nn.Conv(4, (4, 4), (4, 4), name='patches')(x)
        extra = jnp.ones((len(x), 2, 4))
        tokens = Mixed(name='block')(jnp.concatenate([extra, patches.reshape(len(x), -1, 4)], 1))[0]
        return nn.Dense(3, name='head')(tokens.reshape(len(x), -1))


class Mixed(nn.Module):
    """Tokens, and something beside them."""

    @nn.compact
    def __call__(self, tokens):
        return jnp.tanh(nn.Dense(4, name='mix')(tokens)), tokens


def test_tokens_become_rows_and_columns_without_those_before_the_patches():
    model, x = Tokens(), np.concatenate([X, X], 2)  # 8 by 16 pixels: 2 rows, 4 columns
    variables = jax.jit(model.init)(jax.random.key(0), x)
    output = gradients.layer_output(model, variables, x, 'block')
    gradient = gradients.saliency(model, variables, x, Y, layer='block').map
    assert output.shape == gradient.shape == (4, 10, 4)
    on_grid = [part[:, 2:].reshape(4, 2, 4, 4) for part in (output, gradient)]
    expected = np.maximum((on_grid[1].mean((1, 2), keepdims=True) * on_grid[0]).sum(3), 0)
    found = gradients.grad_cam(model, variables, x, Y, layer='block').map
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert gradients.grad_cam(model, variables, x, Y, layer='block', grid=(4, 2)).map.shape == (4, 4, 2)
    with pytest.raises(ValueError, match=r'grid is \(4, 4\): 16 patches; the layer gives 10 tokens'):
        gradients.grad_cam(model, variables, x, Y, layer='block', grid=(4, 4))


@pytest.mark.parametrize(
    ('tokens', 'image', 'grid'),
    [(197, (224, 224), (14, 14)), (196, (224, 224), (14, 14)), (261, (224, 224), (16, 16)), (10, (8, 16), (2, 4))],
)
def test_the_grid_of_a_vision_transformer_is_found(tokens, image, grid):
    assert token_grid.grid_of(tokens, image) == grid


def test_tokens_that_are_no_grid_are_told():
    with pytest.raises(ValueError, match='30 tokens are no grid of the proportions of an image of 7×1000 pixels'):
        token_grid.grid_of(30, (7, 1000))


def test_a_layer_that_is_not_named_or_has_no_floats_is_told(variables):
    for ask in (gradients.grad_cam, lambda *given: gradients.layer_output(*given[:3])):
        with pytest.raises(ValueError, match=r'layer is None; name one .*SplitNetwork\(features, head\)'):
            ask(MODEL, variables, X, Y)
    whole = gradients.SplitNetwork(lambda v, x: {'a': x}, lambda v, tree: head(v, features(v, tree['a'])))
    assert gradients.saliency(whole, variables, X, Y).map.shape == X.shape
    with pytest.raises(ValueError, match="layer 'features' gives dict"):
        gradients.saliency(whole, variables, X, Y, layer='features')
