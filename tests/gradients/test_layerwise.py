"""Norms and products without the gradients, against those of the gradients that `jax.grad` writes out."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from alljax import models
from alljax.gradients import examples, layerwise
from alljax.gradients.trees import named

cross_entropy = optax.softmax_cross_entropy_with_integer_labels
LABELS = jnp.array([0, 1, 2, 0])


class Net(nn.Module):
    """A network of what is under test, after `body`, and a dense layer."""

    body: Callable

    @nn.compact
    def __call__(self, x):
        x = nn.tanh(self.body(self, x))
        return nn.Dense(3, name='head')(x.reshape(len(x), -1))


def conv(features=4, size=(3, 3), *, wide=None, **options):
    """A convolution of the images, or of `wide` channels of them."""

    def body(net, x):
        if wide:
            x = jnp.concatenate([x * scale for scale in np.linspace(0.5, 1.5, -(-wide // x.shape[-1]))], -1)[..., :wide]
        return nn.Conv(features, size, **options)(x)

    return body


def shared(net, x):
    layer = nn.Dense(3)
    return layer(nn.tanh(layer(x)))


def free(net, x):
    """Parameters that belong to no layer."""
    return nn.Conv(4, (3, 3))(x * net.param('gain', nn.initializers.ones, (3,))) + net.param('t', jnp.zeros, (8, 1, 4))


def tied(net, x):
    """A kernel that serves outside its layer too."""
    layer = nn.Dense(3)
    return nn.tanh(layer(x)) @ layer.variables['params']['kernel'].T


def tied_before(net, x):
    """The same, before the layer."""
    layer, other = nn.Dense(3), nn.Dense(3)
    layer(x)
    return other(nn.tanh(x @ other.variables['params']['kernel'] if other.has_variable('params', 'kernel') else x))


def table(net, x):
    """A layer of a table of as many rows as there are images."""
    return x * nn.Dense(3)(net.param('table', nn.initializers.normal(1.0), (len(LABELS), 5))).sum(0)


def attention(net, x):
    tokens = nn.Dense(4)(x.reshape(len(x), -1, 3)[:, :9])
    return nn.MultiHeadDotProductAttention(2)(nn.LayerNorm()(tokens))


def masked(net, x):
    return nn.LayerNorm()(x.reshape(len(x), -1), mask=jnp.arange(x[0].size) < 50)


def running(net, x):
    return nn.BatchNorm(use_running_average=True)(nn.Conv(4, (3, 3))(x))


# Name → a body, and the parts of it whose gradients need not be written out, of all its parameters but the head's.
BODIES = {
    'dense': (lambda net, x: nn.Dense(5)(x.reshape(len(x), -1)), 'all'),
    'dense on tokens': (lambda net, x: nn.Dense(5)(x.reshape(len(x), -1, 3)), 'all'),
    'dense on pixels': (lambda net, x: nn.Dense(5)(x), 'all'),
    'without bias': (lambda net, x: nn.Dense(5, use_bias=False)(x), 'all'),
    'same': (conv(), 'all'),
    'same, even kernel': (conv(4, (2, 4), strides=2), 'all'),
    'lower': (conv(4, (2, 2), padding='SAME_LOWER'), 'all'),
    'valid': (conv(padding='VALID', use_bias=False), 'all'),
    'padded by a number': (conv(padding=2), 'all'),
    'padded by pairs': (conv(padding=[(0, 2), (1, 0)]), 'all'),
    'padded by a mixed list': (conv(padding=[1, (0, 2)], strides=2), 'all'),
    'dilated': (conv(kernel_dilation=2), 'all'),
    'dilated, uneven': (conv(kernel_dilation=(1, 3), strides=(2, 1), padding='VALID'), 'all'),
    'few channels, stride 2': (conv(strides=2), 'all'),
    'few channels, stride 3, explicit': (conv(5, (4, 4), strides=(3, 3), padding=[(2, 1), (0, 2)]), 'all'),
    'few channels, large kernel': (conv(2, (7, 7), strides=(4, 4), padding=2), 'all'),
    'stride beyond the kernel': (conv(strides=(1, 5)), 'all'),
    'many channels, stride 2': (conv(strides=2, wide=18), 'all'),
    'many channels, few places': (conv(20, strides=6, wide=18), 'all'),
    'one by one': (conv(5, (1, 1), strides=2), 'all'),
    'one by one, many channels': (conv(5, (1, 1), strides=2, wide=18), 'all'),
    'groups': (conv(6, feature_group_count=2, wide=4), 'all'),
    'groups, stride 2': (conv(6, feature_group_count=3, strides=2), 'all'),
    'depthwise': (conv(3, feature_group_count=3, kernel_dilation=2), 'all'),
    'depthwise, multiplied': (conv(6, feature_group_count=3, strides=2, use_bias=False), 'all'),
    'batch normalization': (running, 'all'),
    'layer normalization': (lambda net, x: nn.LayerNorm()(nn.Conv(4, (3, 3))(x)), 'all'),
    'scale alone': (lambda net, x: nn.LayerNorm(use_bias=False, epsilon=0.1)(x), 'all'),
    'attention': (attention, 'some'),
    'circular': (conv(padding='CIRCULAR'), 'none'),
    'one-dimensional': (conv(4, (3,)), 'none'),
    'transposed': (lambda net, x: nn.ConvTranspose(4, (3, 3), strides=(2, 2))(x), 'none'),
    'group normalization': (lambda net, x: nn.GroupNorm(num_groups=1)(x), 'none'),
    'called twice': (shared, 'none'),
    'outside layers': (free, 'some'),
    'tied': (tied, 'none'),
    'tied before': (tied_before, 'some'),
    'masked': (masked, 'none'),
    'a table': (table, 'none'),
    'recomputed': (lambda net, x: nn.remat(nn.Conv)(4, (3, 3))(x), 'none'),
}


def images(count=4, size=8):
    return np.random.default_rng(0).normal(size=(count, size, size, 3))


def made(body, dtype=np.float64):
    """A loss, parameters and images of a network: random biases, scales and statistics."""
    x = images().astype(dtype)
    net = Net(body)
    variables = net.init(jax.random.key(0), x)
    rng = np.random.default_rng(1)
    params = jax.tree.map(lambda leaf: (leaf + 0.2 * rng.normal(size=leaf.shape)).astype(dtype), variables['params'])
    stats = jax.tree.map(lambda leaf: rng.uniform(0.5, 1.5, leaf.shape).astype(dtype), variables.get('batch_stats', {}))

    def loss(params, x, y):
        return cross_entropy(net.apply({'params': params, 'batch_stats': stats}, x), y)

    return loss, params, jnp.asarray(x)


def written_out(loss, params, x, y):
    """Name → gradients [N, size], one call of `jax.grad` for each image."""

    @jax.jit
    def one(x, y):
        return jax.grad(lambda params: loss(params, x[None], y[None]).sum())(params)

    found = [named(one(*each)) for each in zip(x, y, strict=True)]
    return {name: np.stack([np.asarray(part[name], np.float64).ravel() for part in found]) for name in found[0]}


def norms(gradients):
    return np.sqrt(sum((leaf**2).sum(1) for leaf in gradients.values()))


@pytest.mark.parametrize('name', BODIES)
def test_norms_and_products_are_those_of_the_gradients(name):
    body, short = BODIES[name]
    with jax.enable_x64(True):
        loss, params, x = made(body)
        expected = written_out(loss, params, x, LABELS)

        @jax.jit
        def both(params):
            found = layerwise.examples(loss, params, x, LABELS)
            return {name: (layerwise.squared(leaf), layerwise.products(leaf, leaf)) for name, leaf in found.items()}

        found = both(params)
        assert list(found) == list(expected)
        for leaf, gradient in expected.items():
            gram = gradient @ gradient.T
            assert gram.max() > 0, leaf
            np.testing.assert_allclose(found[leaf][0], np.diag(gram), rtol=1e-9, atol=1e-12 * gram.max(), err_msg=leaf)
            np.testing.assert_allclose(found[leaf][1], gram, rtol=1e-9, atol=1e-9 * gram.max(), err_msg=leaf)
        layers = layerwise.discover(loss, params, x, LABELS)
    leaves = {leaf for layer in layers.values() for leaf in layer.leaves.values()}
    assert {'head/kernel', 'head/bias'} <= leaves
    parts = {leaf in leaves for leaf in expected if not leaf.startswith('head/')}
    assert parts == {'all': {True}, 'none': {False}, 'some': {True, False}}[short]


@pytest.mark.parametrize('name', ['dense', 'few channels, stride 2', 'depthwise', 'batch normalization', 'attention'])
def test_norms_in_single_precision_are_those_of_the_gradients(name):
    loss, params, x = made(BODIES[name][0], np.float32)
    found = examples.per_example(loss, params, x, LABELS, reduce='norm')
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, norms(written_out(loss, params, x, LABELS)), rtol=1e-5)


def test_a_layer_of_half_precision_agrees_as_far_as_it_goes():
    loss, params, x = made(lambda net, x: nn.Conv(4, (3, 3), dtype=jnp.bfloat16)(x), np.float32)
    found = examples.per_example(loss, params, x, LABELS, reduce='norm')
    np.testing.assert_allclose(found, norms(written_out(loss, params, x, LABELS)), rtol=0.03)


def one_number(loss):
    return lambda params, x, y: loss(params, x, y).mean()


def decayed(loss):
    """With weight decay: the parameters count beside their layers."""
    return lambda params, x, y: loss(params, x, y) + 0.3 * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))


def one_by_one(loss):
    return lambda params, x, y: jax.vmap(lambda x, y: loss(params, x[None], y[None])[0])(x, y)


def copied(loss):
    return lambda params, x, y: loss(jax.tree.map(lambda leaf: 1.5 * leaf, params), x, y)


def compiled_within(loss):
    return lambda params, x, y: jax.jit(lambda x: loss(params, x, y))(x)


LOSSES = {
    'compiled': jax.jit,
    'compiled within': compiled_within,
    'recomputed': jax.checkpoint,
    'one number': one_number,
    'decayed': decayed,
    'one by one': one_by_one,
    'copied': copied,
}


@pytest.mark.parametrize('name', LOSSES)
@pytest.mark.parametrize('size', [None, 1, 3], ids=['whole', 'ones', 'threes'])
def test_norms_are_right_whatever_the_loss_wraps_the_network_in(name, size):
    with jax.enable_x64(True):
        loss, params, x = made(BODIES['same'][0])
        loss = LOSSES[name](loss)
        found = examples.per_example(loss, params, x, LABELS, reduce='norm', batch_size=size)
        np.testing.assert_allclose(found, norms(written_out(loss, params, x, LABELS)), rtol=1e-9)


def test_products_of_two_batches_are_those_of_the_gradients():
    with jax.enable_x64(True):
        loss, params, x = made(BODIES['groups'][0])
        expected = written_out(loss, params, x, LABELS)
        one, other = (layerwise.examples(loss, params, x[rows], LABELS[rows]) for rows in (slice(3), slice(2, 4)))
        for name, gradient in expected.items():
            found = layerwise.products(one[name], other[name])
            np.testing.assert_allclose(found, gradient[:3] @ gradient[2:].T, rtol=1e-9, atol=1e-12, err_msg=name)


def test_wanted_parameters_come_alone():
    with jax.enable_x64(True):
        loss, params, x = made(free)
        found = layerwise.examples(loss, params, x, LABELS, lambda name: name in ('gain', 'head/bias'))
        expected = written_out(loss, params, x, LABELS)
        assert set(found) == {'gain', 'head/bias'}
        for name, gradient in found.items():
            np.testing.assert_allclose(gradient, expected[name], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['resnet18', 'mobilenet_v3_small', 'vit_b_32', 'squeezenet1_1'])
def test_norms_and_products_of_whole_networks_are_those_of_the_gradients(name):
    with jax.enable_x64(True):
        width = {} if name == 'vit_b_32' else {'width': 0.1}
        model = models.create(name, 3, head=16, size=64, **width)
        variables = model.init(jax.random.key(0))
        rng = np.random.default_rng(1)
        variables = jax.tree.map(lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape), variables)
        params = variables.pop('params')
        rest = jax.tree.map(np.abs, variables)

        def loss(params, x, y):
            return cross_entropy(model.apply({'params': params, **rest}, x), y)

        x, y = jnp.asarray(images(3, 64)), LABELS[:3]
        expected = written_out(loss, params, x, y)

        @jax.jit
        def both(params):
            found = layerwise.examples(loss, params, x, y)
            return {name: (layerwise.squared(leaf), layerwise.products(leaf, leaf)) for name, leaf in found.items()}

        for leaf, (square, product) in both(params).items():
            gram = expected[leaf] @ expected[leaf].T
            np.testing.assert_allclose(square, np.diag(gram), rtol=1e-8, atol=1e-10 * gram.max(), err_msg=leaf)
            np.testing.assert_allclose(product, gram, rtol=1e-8, atol=1e-8 * gram.max(), err_msg=leaf)
        layers = layerwise.discover(loss, params, x, y)
        short = sum(named(params)[leaf].size for layer in layers.values() for leaf in layer.leaves.values())
        assert short > 0.5 * sum(leaf.size for leaf in jax.tree.leaves(params))
    jax.clear_caches()
