"""Norms and products without the gradients, against those of the gradients that `jax.grad` writes out."""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import variables_of

from alljax import gradients, models
from alljax.gradients import factored_gradients
from alljax.gradients.named_parameters import named
from alljax.models import mobilenet

cross_entropy = optax.softmax_cross_entropy_with_integer_labels
LABELS = jnp.array([0, 1, 2, 0])


class Net(nn.Module):
    """Named branches of what is under test side by side, and a dense layer that sees every place of each."""

    branches: dict[str, Callable]

    @nn.compact
    def __call__(self, x):
        found = [nn.tanh(branch(self, x, name)).reshape(len(x), -1) for name, branch in self.branches.items()]
        return nn.Dense(3, name='head')(jnp.concatenate(found, -1))


def conv(features=4, size=(3, 3), *, wide=None, **options):
    """A convolution of the images, or of `wide` channels of them."""

    def branch(net, x, name):
        if wide:
            x = jnp.concatenate([x * scale for scale in np.linspace(0.5, 1.5, -(-wide // x.shape[-1]))], -1)[..., :wide]
        return nn.Conv(features, size, name=name, **options)(x)

    return branch


def shared(net, x, name):
    layer = nn.Dense(3, name=name)
    return layer(nn.tanh(layer(x)))


def free(net, x, name):
    """Parameters that belong to no layer."""
    x = x * net.param('gain', nn.initializers.ones, (3,))
    return nn.Conv(4, (3, 3), name=name)(x) + net.param('shift', nn.initializers.zeros, (8, 1, 4))


def tied(net, x, name):
    """A kernel that serves outside its layer too."""
    layer = nn.Dense(3, name=name)
    return nn.tanh(layer(x)) @ layer.variables['params']['kernel'].T


def tied_before(net, x, name):
    """The same, before the layer."""
    own = net.variables.get('params', {}).get(name, {})  # empty while the parameters are drawn
    return nn.Dense(3, name=name)(nn.tanh(x @ own.get('kernel', jnp.eye(3, dtype=x.dtype))))


def table(net, x, name):
    """A layer of a table of as many rows as there are images."""
    rows = net.param('rows', nn.initializers.normal(1.0), (len(LABELS), 5))
    return x * nn.Dense(3, name=name)(rows).sum(0)


def attention(net, x, name):
    tokens = nn.LayerNorm(name='before')(nn.Dense(4, name='tokens')(x.reshape(len(x), -1, 3)[:, :9]))
    return nn.MultiHeadDotProductAttention(2, name=name)(tokens)


def masked(net, x, name):
    return nn.LayerNorm(name=name)(x.reshape(len(x), -1), mask=jnp.arange(x[0].size) < 50)


def running(net, x, name):
    return nn.BatchNorm(use_running_average=True, name=name)(nn.Conv(4, (3, 3))(x))


# What needs no gradients written out.
SHORT = {
    'dense': lambda net, x, name: nn.Dense(5, name=name)(x.reshape(len(x), -1)),
    'on_tokens': lambda net, x, name: nn.Dense(5, name=name)(x.reshape(len(x), -1, 3)),
    'on_pixels': lambda net, x, name: nn.Dense(5, name=name, use_bias=False)(x),
    'batch': running,
    'layer': lambda net, x, name: nn.LayerNorm(name=name)(x),
    'scale_alone': lambda net, x, name: nn.LayerNorm(use_bias=False, epsilon=0.1, name=name)(x),
    'same': conv(),
    'same_of_even': conv(4, (2, 4), strides=2),
    'lower': conv(4, (2, 2), padding='SAME_LOWER'),
    'valid': conv(padding='VALID', use_bias=False),
    'padded_by_number': conv(padding=2),
    'padded_by_mixed_list': conv(padding=[1, (0, 2)], strides=2),
    'dilated_unevenly': conv(kernel_dilation=(1, 3), strides=(2, 1), padding='VALID'),
    'few_channels': conv(5, (4, 4), strides=(3, 3), padding=[(2, 1), (0, 2)]),
    'large_kernel': conv(2, (7, 7), strides=(4, 4), padding=2),
    'stride_beyond_kernel': conv(strides=(1, 5)),
    'many_channels': conv(strides=2, wide=18),
    'few_places': conv(20, strides=6, wide=18),
    'one_by_one': conv(5, (1, 1), strides=2),
    'one_by_one_of_many': conv(5, (1, 1), strides=2, wide=18),
    'groups': conv(6, feature_group_count=2, wide=4),
    'groups_strided': conv(6, feature_group_count=3, strides=2),
    'depthwise': conv(3, feature_group_count=3, kernel_dilation=2),
}
# What does: of unknown kinds, or whose parameters do more than their layer.
WRITTEN_OUT = {
    'circular': conv(padding='CIRCULAR'),
    'one_dimensional': conv(4, (3,)),
    'transposed': lambda net, x, name: nn.ConvTranspose(4, (3, 3), strides=(2, 2), name=name)(x),
    'group_norm': lambda net, x, name: nn.GroupNorm(num_groups=1, name=name)(x),
    'recomputed': lambda net, x, name: nn.remat(nn.Conv)(4, (3, 3), name=name)(x),
    'twice': shared,
    'tied': tied,
    'tied_before': tied_before,
    'masked': masked,
    'table': table,
}
FEW = {'dense': SHORT['dense'], 'groups': SHORT['groups'], 'batch': running}


def images(count=4, size=8):
    return np.random.default_rng(0).normal(size=(count, size, size, 3))


def made(branches, dtype=np.float64):
    """A loss, parameters and images of a network: random biases, scales and statistics."""
    x = images().astype(dtype)
    net = Net(branches)
    variables = jax.jit(net.init)(jax.random.key(0), x)
    rng = np.random.default_rng(1)

    def shake(leaf):
        fan = np.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 1
        return (leaf + 0.2 * rng.normal(size=leaf.shape) / np.sqrt(fan)).astype(dtype)

    params = jax.tree.map(shake, variables['params'])
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


def compare(loss, params, x, y, *, rtol=1e-9):
    """Squared norms and products of each leaf against those of the gradients; the leaves that are of short layers."""
    expected = written_out(loss, params, x, y)

    @jax.jit
    def both(params):
        found = factored_gradients.per_example(loss, params, x, y)
        return {
            name: (factored_gradients.squared_norms(leaf), factored_gradients.inner_products(leaf, leaf))
            for name, leaf in found.items()
        }

    found = both(params)
    assert list(found) == list(expected)
    for leaf, gradient in expected.items():
        gram = gradient @ gradient.T
        if gram.max() < 1e-25:  # of a bias that attention does not feel
            assert leaf.endswith('key/bias'), leaf
            continue
        square, product = found[leaf]
        np.testing.assert_allclose(square, np.diag(gram), rtol=rtol, atol=0.01 * rtol * gram.max(), err_msg=leaf)
        np.testing.assert_allclose(product, gram, rtol=rtol, atol=rtol * gram.max(), err_msg=leaf)
    layers = factored_gradients.discover(loss, params, x, y)
    return set(expected), {leaf for layer in layers.values() for leaf in layer.leaves.values()}


def test_norms_and_products_of_a_few_layers_are_those_of_the_gradients():
    with jax.enable_x64(True):
        _, short = compare(*made({**FEW, 'tied': tied}), LABELS)
    assert {name.split('/')[0] for name in short} == {*FEW, 'Conv_0', 'head'}


@pytest.mark.slow
def test_norms_and_products_of_layers_that_have_a_short_form_are_those_of_the_gradients():
    with jax.enable_x64(True):
        leaves, short = compare(*made(SHORT), LABELS)
    assert short == leaves


@pytest.mark.slow
def test_norms_and_products_of_what_has_no_short_form_are_those_of_the_gradients():
    with jax.enable_x64(True):
        leaves, short = compare(*made(WRITTEN_OUT), LABELS)
    assert {leaf.split('/')[0] for leaf in leaves} == {*WRITTEN_OUT, 'rows', 'head'}
    assert short == {'head/kernel', 'head/bias'}


@pytest.mark.slow
def test_norms_and_products_of_networks_of_both_are_those_of_the_gradients():
    with jax.enable_x64(True):
        leaves, short = compare(*made({'attention': attention, 'free': free}), LABELS)
    assert short == {f'{layer}/{part}' for layer in ('head', 'free', 'tokens') for part in ('kernel', 'bias')} | {
        'before/scale', 'before/bias'
    }  # fmt: skip
    assert {'gain', 'shift', 'attention/query/kernel'} <= leaves


@pytest.mark.slow
def test_norms_in_single_precision_are_those_of_the_gradients():
    loss, params, x = made(FEW, np.float32)
    found = gradients.per_example_gradients(loss, params, x, LABELS, reduce='norm')
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, norms(written_out(loss, params, x, LABELS)), rtol=1e-5)


@pytest.mark.slow
def test_a_layer_of_half_precision_agrees_as_far_as_it_goes():
    loss, params, x = made({'half': conv(dtype=jnp.bfloat16)}, np.float32)
    found = gradients.per_example_gradients(loss, params, x, LABELS, reduce='norm')
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


@pytest.mark.parametrize(
    'name', [name if name == 'decayed' else pytest.param(name, marks=pytest.mark.slow) for name in LOSSES]
)
def test_norms_are_right_whatever_the_loss_wraps_the_network_in(name):
    with jax.enable_x64(True):
        loss, params, x = made({'groups': SHORT['groups']})
        loss = LOSSES[name](loss)
        found = gradients.per_example_gradients(loss, params, x, LABELS, reduce='norm', batch_size=3)
        np.testing.assert_allclose(found, norms(written_out(loss, params, x, LABELS)), rtol=1e-9)


def test_products_of_two_batches_are_those_of_the_gradients():
    with jax.enable_x64(True):
        loss, params, x = made({'groups': SHORT['groups']})
        expected = written_out(loss, params, x, LABELS)
        of = jax.jit(lambda x, y: factored_gradients.per_example(loss, params, x, y))
        one, other = (of(x[rows], LABELS[rows]) for rows in (slice(3), slice(2, 4)))
        for name, gradient in expected.items():
            found = factored_gradients.inner_products(one[name], other[name])
            np.testing.assert_allclose(found, gradient[:3] @ gradient[2:].T, rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.slow
def test_wanted_parameters_come_alone():
    with jax.enable_x64(True):
        loss, params, x = made({'free': free})
        wanted = {'gain', 'head/bias'}
        found = jax.jit(lambda x: factored_gradients.per_example(loss, params, x, LABELS, lambda name: name in wanted))(
            x
        )
        expected = written_out(loss, params, x, LABELS)
        assert set(found) == {'gain', 'head/bias'}
        for name, gradient in found.items():
            np.testing.assert_allclose(gradient, expected[name], rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_norms_and_products_of_a_whole_network_are_those_of_the_gradients():
    with jax.enable_x64(True):
        blocks = mobilenet.SMALL[:5]  # of all kinds
        model = models.create('mobilenet_v3_small', 3, head=16, size=64, width=0.1, blocks=blocks)
        variables = variables_of(model.init)
        rng = np.random.default_rng(1)
        variables = jax.tree.map(lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape), variables)
        params = variables.pop('params')
        rest = jax.tree.map(np.abs, variables)

        def loss(params, x, y):
            return cross_entropy(model.apply({'params': params, **rest}, x), y)

        x, y = jnp.asarray(images(2, 64)), LABELS[:2]
        _, leaves = compare(loss, params, x, y, rtol=1e-8)
        short = sum(named(params)[leaf].size for leaf in leaves)
        assert short > 0.5 * sum(leaf.size for leaf in jax.tree.leaves(params))
    jax.clear_caches()
