"""A network of 174 parameters, and its curvature as dense matrices from formulas of their own, in float64."""

import functools
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

EXAMPLES, CLASSES = 6, 3


class Net(nn.Module):
    """Convolutions with strides and in groups, a normalization and a dense layer; smooth."""

    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Conv(3, (3, 3), strides=2, name='stem')(x))
        x = nn.tanh(nn.Conv(6, (2, 2), feature_group_count=3, name='grouped')(x))
        x = nn.LayerNorm(name='norm')(x)
        return nn.Dense(CLASSES, name='head')(x.reshape(len(x), -1))


NET = Net()


def squares(outputs, y):
    """A loss of the outputs whose Hessian is not the identity."""
    return jnp.sum((outputs - jax.nn.one_hot(y, CLASSES)) ** 2, 1) * jnp.array([1.0, 2.0, 3.0])[y]


def cross_entropy(outputs, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(outputs), y[:, None], 1)[:, 0]


LOSSES = {'cross_entropy': cross_entropy, 'squares': squares}


@functools.cache
def case():
    """The parameters with random biases, images and labels; a flat vector of the parameters and its tree."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x, y = jnp.asarray(rng.normal(size=(EXAMPLES, 4, 4, 2))), jnp.arange(EXAMPLES) % CLASSES
        drawn = jax.jit(NET.init)(jax.random.key(0), x)
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf + 0.3 * rng.normal(size=leaf.shape)), drawn)
        flat, unravel = ravel_pytree(params)
        tree = unravel(jnp.asarray(rng.normal(size=flat.size)))
        return SimpleNamespace(params=params, x=x, y=y, flat=flat, unravel=unravel, tree=tree)


def flat(tree):
    return np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)])


@functools.cache
def places():
    """Name of a leaf → its places in the flat vector."""
    with jax.enable_x64(True):
        tree = case().unravel(jnp.arange(case().flat.size, dtype=jnp.float64))['params']
        return {
            f'{layer}/{part}': np.asarray(leaf).astype(int) for layer, own in tree.items() for part, leaf in own.items()
        }


@functools.cache
def passes():
    """The outputs, their Jacobian [examples, outputs, size], and inputs and outputs' Jacobians of each layer."""
    with jax.enable_x64(True):
        one, params = case(), case().params['params']

        def outputs(flat):
            return NET.apply(one.unravel(flat), one.x)

        def forward(offsets):
            def conv(x, layer, stride, pads, groups):
                return jax.lax.conv_general_dilated(
                    x, params[layer]['kernel'], (stride, stride), pads, dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
                    feature_group_count=groups,
                ) + params[layer]['bias'] + offsets[layer]  # fmt: skip

            stem = jnp.tanh(conv(one.x, 'stem', 2, [(0, 1)] * 2, 1))
            x = jnp.tanh(conv(stem, 'grouped', 1, [(0, 1)] * 2, 3))
            x = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + 1e-6)
            x = (x * params['norm']['scale'] + params['norm']['bias']).reshape(EXAMPLES, -1)
            return x @ params['head']['kernel'] + params['head']['bias'] + offsets['head'], (stem, x)

        shapes = {'stem': (EXAMPLES, 2, 2, 3), 'grouped': (EXAMPLES, 2, 2, 6), 'head': (EXAMPLES, CLASSES)}
        zeros = {layer: jnp.zeros(shape) for layer, shape in shapes.items()}
        (logits, (stem, features)), jacobian = jax.jit(
            lambda flat: (forward(zeros), jax.jacrev(outputs)(flat)))(one.flat)  # fmt: skip
        each = jax.jit(jax.jacrev(lambda offsets: forward(offsets)[0].sum(0)))(zeros)  # [outputs, examples, ...]
        np.testing.assert_allclose(logits, outputs(one.flat), rtol=1e-9)
        back = {layer: np.moveaxis(np.asarray(leaf), 0, 1) for layer, leaf in each.items()}
        inputs = {
            'stem': windows(np.asarray(one.x), 3, 2), 'grouped': windows(np.asarray(stem), 2, 1),
            'head': np.asarray(features)[:, None],
        }  # fmt: skip
        return SimpleNamespace(logits=np.asarray(logits), jacobian=np.asarray(jacobian), inputs=inputs, back=back)


def windows(x, size, stride):
    """The windows that a convolution sees [examples, places, size, size, channels], one by one."""
    x = np.pad(x, [(0, 0), (0, 1), (0, 1), (0, 0)])
    found = [
        x[:, row : row + size, column : column + size]
        for row in range(0, x.shape[1] - size + 1, stride) for column in range(0, x.shape[2] - size + 1, stride)
    ]  # fmt: skip
    return np.stack(found, 1)


@functools.cache
def middles(kind, loss):
    """The matrix between the Jacobians of each example's outputs."""
    with jax.enable_x64(True):
        one, logits = case(), jnp.asarray(passes().logits)
        function = LOSSES[loss]
        if kind == 'fisher':
            slopes = jax.grad(lambda logits: function(logits, one.y).sum())(logits)
            return np.einsum('ni,nj->nij', slopes, slopes)
        return np.asarray(jax.vmap(jax.hessian(lambda row, y: function(row[None], y[None])[0]))(logits, one.y))


def dense(kind='ggn', loss='cross_entropy'):
    """The matrix Jᵀ M J of the mean loss."""
    jacobian = passes().jacobian
    return np.einsum('nip,nij,njq->pq', jacobian, middles(kind, loss), jacobian) / EXAMPLES


def blocks(kind='ggn', loss='cross_entropy', shared='expand'):
    """Of each layer and group of channels: its places in the flat vector, and the two Kronecker factors."""
    found, index = [], places()
    for layer, groups in (('stem', 1), ('grouped', 3), ('head', 1)):
        inputs, back = passes().inputs[layer], passes().back[layer]
        back = back.reshape(EXAMPLES, CLASSES, -1, back.shape[-1])
        kernel = index[f'{layer}/kernel'].reshape(-1, back.shape[-1])
        for group in range(groups):
            own = inputs[..., group::groups] if groups > 1 else inputs
            own = own.reshape(*own.shape[:2], -1)
            own = np.concatenate([own, np.ones((*own.shape[:2], 1))], 2)
            width = back.shape[-1] // groups
            chosen = slice(group * width, (group + 1) * width)
            theirs = back[..., chosen]
            if shared == 'reduce':
                own, theirs = own.mean(1, keepdims=True), theirs.sum(2, keepdims=True)
            of_inputs = np.einsum('nti,ntj->ij', own, own) / own.shape[1] / EXAMPLES
            of_outputs = np.einsum('nato,nab,nbtp->op', theirs, middles(kind, loss), theirs) / EXAMPLES
            where = np.concatenate([kernel[:, chosen], index[f'{layer}/bias'][None, chosen]])
            found.append((where.ravel(), of_inputs, of_outputs))
    return found


def kronecker(kind='ggn', loss='cross_entropy', shared='expand', corrected=False):
    """The matrix of K-FAC or EK-FAC; the diagonal alone of the normalization."""
    whole = dense(kind, loss)
    matrix = np.diag(np.diag(whole))
    for where, of_inputs, of_outputs in blocks(kind, loss, shared):
        block = np.kron(of_inputs, of_outputs)
        if corrected:
            basis = np.kron(np.linalg.eigh(of_inputs)[1], np.linalg.eigh(of_outputs)[1])
            block = basis * np.diag(basis.T @ whole[np.ix_(where, where)] @ basis) @ basis.T
        matrix[np.ix_(where, where)] = block
    return matrix


def assert_near(found, expected, rtol=1e-7):
    """Within a part of the largest."""
    np.testing.assert_allclose(found, expected, rtol=0, atol=rtol * np.abs(expected).max())
