import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients

KINDS = ('gradcam', 'gradcam++', 'layercam')


class Linear(nn.Module):
    """A layer whose map is known, and logits whose gradient to it is known."""

    @nn.compact
    def __call__(self, x):
        x = nn.Conv(4, (1, 1), name='mix')(x)
        return nn.Dense(3, use_bias=False, name='head')(x.reshape(len(x), -1))


def by_hand(output, gradient, kind):
    if kind == 'layercam':
        return np.maximum((np.maximum(gradient, 0) * output).sum(-1), 0)
    if kind == 'gradcam':
        weights = gradient.mean((0, 1))
    else:
        below = 2 * gradient**2 + output.sum((0, 1)) * gradient**3 + 1e-6
        weights = (np.maximum(gradient, 0) * gradient**2 / below).sum((0, 1))
    return np.maximum((weights * output).sum(-1), 0)


@pytest.mark.parametrize('kind', KINDS)
def test_the_map_is_as_by_hand(kind):
    model, x = Linear(), tiny.images()
    variables = tiny.variables(model)
    mix, head = (variables['params'][name] for name in ('mix', 'head'))
    outputs = x @ np.asarray(mix['kernel'][0, 0]) + np.asarray(mix['bias'])
    slopes = np.asarray(head['kernel']).T.reshape(3, 8, 8, 4)[tiny.TARGET]
    expected = np.stack([by_hand(*pair, kind) for pair in zip(outputs, slopes, strict=True)])
    found = gradients.grad_cam(model, variables, x, tiny.TARGET, layer='mix', kind=kind).map
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())
    assert (expected > 0).any()
    assert (expected == 0).any()


def test_a_map_has_the_layer_s_positions_and_resizes_to_the_image_s():
    model, x = tiny.Tiny(), tiny.images(2)
    found = gradients.grad_cam(model, tiny.variables(model), x, 0, layer='body').map
    assert found.shape == (2, 4, 4)
    assert gradients.resize_map(found, 8).shape == (2, 8, 8)
    assert gradients.resize_map(found, (6, 9)).shape == (2, 6, 9)


def test_resizing_is_between_the_centers_of_the_positions():
    row = jnp.array([[[0.0, 1], [0, 1]]])
    np.testing.assert_allclose(gradients.resize_map(row, (2, 4)), [[[0, 0.25, 0.75, 1]] * 2], atol=1e-6)
    np.testing.assert_allclose(gradients.resize_map(row, (2, 4), 'nearest'), [[[0, 0, 1, 1]] * 2], atol=1e-6)


def test_a_layer_that_is_no_map_is_told():
    model = tiny.Tiny()
    with pytest.raises(ValueError, match=r"layer 'head' gives \(2, 3\): expected a map"):
        gradients.grad_cam(model, tiny.variables(model), tiny.images(2), 0, layer='head')


def test_a_layer_that_there_is_not_is_told_with_the_nearest():
    model = tiny.Tiny()
    with pytest.raises(ValueError, match="did you mean 'body'"):
        gradients.grad_cam(model, tiny.variables(model), tiny.images(2), 0, layer='bodi')


def test_a_kind_that_there_is_not_is_told():
    with tiny.unchecked(), pytest.raises(ValueError, match="kind is 'scorecam'"):
        gradients.grad_cam(tiny.Tiny(), None, tiny.images(2), 0, layer='stem', kind='scorecam')
