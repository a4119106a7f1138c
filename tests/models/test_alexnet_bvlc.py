"""Caffe's AlexNet against plain NumPy: what Caffe computes, in float64 and its own order of axes (NCHW, BGR)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from caffe_writer import blob, old_layer, write

from alljax import models
from alljax.models.alexnet_bvlc import of_pixels, response_norm
from alljax.models.layers import max_pool
from alljax.models.trees import flatten, unflatten
from alljax.weights import caffe_file
from alljax.weights.rules import table
from alljax.weights.rules.rule import apply_rules

CLASSES = 7
MEAN_BGR = np.array([104.00698793, 116.66876762, 122.67891434])
#          name, out, kernel, stride, padding, groups
LAYERS = (
    ('conv1', 96, 11, 4, 0, 1),
    ('conv2', 256, 5, 1, 2, 2),
    ('conv3', 384, 3, 1, 1, 1),
    ('conv4', 384, 3, 1, 1, 2),
    ('conv5', 256, 3, 1, 1, 2),
)


def convolution(x, weight, bias, stride, padding, groups):
    """Caffe's convolution: image columns by a matrix, group by group."""
    x = np.pad(x, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    side = weight.shape[-1]
    windows = np.lib.stride_tricks.sliding_window_view(x, (side, side), (2, 3))[:, :, ::stride, ::stride]
    outputs = [
        np.einsum('bchwij,ocij->bohw', part, kernel, optimize=True)
        for part, kernel in zip(np.split(windows, groups, 1), np.split(weight, groups), strict=True)
    ]
    return np.concatenate(outputs, 1) + bias[:, None, None]


def norm(x):
    """Caffe's LRN across channels, with its defaults: local_size 5, alpha 1e-4, beta 0.75, k 1."""
    out = np.empty_like(x)
    for channel in range(x.shape[1]):
        near = x[:, max(0, channel - 2) : channel + 3]
        out[:, channel] = x[:, channel] / (1 + 1e-4 / 5 * (near**2).sum(1)) ** 0.75
    return out


def pool(x):
    """Caffe's 3×3 maxima at stride 2, a last incomplete window included."""
    height, width = (-(-(length - 3) // 2) + 1 for length in x.shape[2:])
    out = np.empty((*x.shape[:2], height, width))
    for row in range(height):
        for column in range(width):
            out[:, :, row, column] = x[:, :, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].max((2, 3))
    return out


def caffe(weights, pixels):
    """Logits of RGB pixels of 0 to 255, NHWC: to BGR and NCHW and less the mean, as Caffe's transformer does."""
    x = pixels.astype(np.float64)[..., ::-1].transpose(0, 3, 1, 2) - MEAN_BGR[:, None, None]
    for name, _, _, stride, padding, groups in LAYERS:
        x = np.maximum(convolution(x, *weights[name], stride, padding, groups), 0)
        x = norm(x) if name in ('conv1', 'conv2') else x
        x = pool(x) if name in ('conv1', 'conv2', 'conv5') else x
    x = x.reshape(len(x), -1)
    for name in ('fc6', 'fc7', 'fc8'):
        weight, bias = weights[name]
        x = x @ weight.T + bias
        x = np.maximum(x, 0) if name != 'fc8' else x
    return x


def draw(width):
    """Weights and biases by layer in Caffe's shapes, of a size that keeps every layer's outputs apart."""
    rng = np.random.default_rng(0)
    before, weights = 3, {}
    for name, out, kernel, _, _, groups in LAYERS:
        out = int(out * width)
        weights[name] = (out, before // groups, kernel, kernel)
        before = out
    hidden = int(4096 * width)
    weights |= {'fc6': (hidden, 36 * before), 'fc7': (hidden, hidden), 'fc8': (CLASSES, hidden)}
    return {
        name: (
            (rng.normal(size=shape) * (2 / np.prod(shape[1:])) ** 0.5).astype(np.float32),
            rng.normal(size=shape[0]).astype(np.float32),
        )
        for name, shape in weights.items()
    }


@pytest.fixture(scope='module')
def weights():
    return draw(1 / 16)


@pytest.fixture(scope='module')
def converted(weights, tmp_path_factory):
    """Variables in float32 from a .caffemodel of the weights."""
    layers = [
        old_layer(name, 'INNER_PRODUCT' if name.startswith('fc') else 'CONVOLUTION', *(blob(w, old=True) for w in pair))
        for name, pair in weights.items()
    ]
    path = write(tmp_path_factory.mktemp('caffe') / 'a.caffemodel', *layers)
    model = models.create('alexnet_bvlc', CLASSES, head=0, width=1 / 16, platform='gpu')
    shapes = {place: leaf.shape for place, leaf in flatten(jax.eval_shape(model.init, jax.random.key(0))).items()}
    return unflatten(apply_rules(caffe_file.read(path), table('alexnet_bvlc'), shapes))


@pytest.mark.parametrize('platform', ['cpu', 'gpu'])
def test_a_caffemodel_gives_caffe_s_logits(weights, converted, platform):
    pixels = np.random.default_rng(1).integers(0, 256, (2, 227, 227, 3))
    expected = caffe({name: [w.astype(np.float64) for w in pair] for name, pair in weights.items()}, pixels)
    with jax.enable_x64(True):
        model = models.create('alexnet_bvlc', CLASSES, head=0, width=1 / 16, platform=platform)
        variables = jax.tree.map(lambda leaf: leaf.astype(np.float64), converted)
        image = (pixels / 255 - np.array(model.input.mean)) / np.array(model.input.deviation)
        logits = jax.jit(model.apply)(variables, image)
    assert expected.std() > 1
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-9 * np.abs(expected).max())


@pytest.mark.parametrize('channels', [1, 2, 4, 5, 16])
def test_response_norm_is_caffe_s(channels):
    x = 300 * np.random.default_rng(channels).normal(size=(2, 3, 4, channels))
    with jax.enable_x64(True):
        ours = response_norm(jnp.asarray(x))
    ours = np.asarray(ours)
    np.testing.assert_allclose(ours, norm(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1), rtol=1e-13)
    assert np.abs(ours / x).min() < 0.7  # the values are so large that there is something to normalize


def test_the_gradient_of_response_norm_is_the_formula_s():
    rng = np.random.default_rng(0)
    x, weight = 300 * rng.normal(size=(2, 3, 4, 9)), rng.normal(size=(2, 3, 4, 9))
    near = np.abs(np.subtract.outer(np.arange(9), np.arange(9))) <= 2
    scale = 1 + 1e-4 / 5 * x**2 @ near
    expected = weight * scale**-0.75 - 2 * 0.75 * 1e-4 / 5 * x * ((weight * x * scale**-1.75) @ near)
    with jax.enable_x64(True):
        ours = jax.grad(lambda x: (weight * response_norm(x)).sum())(jnp.asarray(x))
    np.testing.assert_allclose(np.asarray(ours), expected, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize('side', [3, 4, 5, 6, 13])
def test_pools_round_up_as_caffe_s(side):
    x = np.random.default_rng(0).normal(size=(2, side, side + 1, 3)).astype(np.float32)
    np.testing.assert_array_equal(
        max_pool(jnp.asarray(x), ceil=True), pool(x.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
    )


def test_the_network_has_caffe_s_size():
    model = models.create('alexnet_bvlc', 1000, head=0)
    shapes = flatten(jax.eval_shape(model.init, jax.random.key(0)))
    assert sum(np.prod(leaf.shape) for leaf in shapes.values()) == 60_965_224
    assert shapes['params/conv2/kernel'].shape == (5, 5, 48, 256)
    assert shapes['params/fc6/kernel'].shape == (9216, 4096)
    pixels = np.array([[[122.67891434, 116.66876762, 104.00698793], [255, 255, 255]]])  # RGB
    seen = (pixels / 255 - np.array(model.input.mean)) / np.array(model.input.deviation)
    np.testing.assert_allclose(seen[..., ::-1], pixels[..., ::-1] - MEAN_BGR, atol=1e-12)


def test_dropout_and_another_size(converted):
    model = models.create('alexnet_bvlc', CLASSES, head=0, width=1 / 16, size=96, act=jax.nn.softplus)
    image = 70 * jax.random.normal(jax.random.key(1), (2, 96, 96, 3))
    run = jax.jit(lambda key: model.apply(converted, image, train=True, rngs={'dropout': key}))
    one, same, other = (run(jax.random.key(seed)) for seed in (0, 0, 1))
    assert one.shape == (2, CLASSES)
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_random_weights_take_pixels_to_features_of_the_usual_size():
    kernel = of_pixels(jax.random.key(0), (11, 11, 3, 96))
    patches = 70 * jax.random.normal(jax.random.key(1), (100, 11 * 11 * 3))
    assert 1 < np.std(patches @ kernel.reshape(-1, 96)) < 2
