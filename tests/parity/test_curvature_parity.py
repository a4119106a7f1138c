"""Curvature against curvlinops, of a small convolutional network with the same random weights and biases."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alljax import gradients

pytest.importorskip('curvlinops', reason="curvlinops is not installed: pip install -e '.[parity]'")
import curvlinops
import torch

pytestmark = pytest.mark.slow
DAMPING = 0.01


class Net(nn.Module):
    """Two convolutions and a dense layer."""

    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Conv(4, (3, 3), strides=2, padding=1, name='one')(x))
        x = nn.tanh(nn.Conv(5, (2, 2), padding='VALID', name='two')(x))
        x = x.transpose(0, 3, 1, 2)  # torch flattens channels first
        return nn.Dense(3, name='head')(x.reshape(len(x), -1))


@pytest.fixture(scope='module')
def pair():
    """Both networks in double precision, six images and labels, and a direction in the space of their parameters."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, 2, 1), torch.nn.Tanh(), torch.nn.Conv2d(4, 5, 2), torch.nn.Tanh(),
        torch.nn.Flatten(), torch.nn.Linear(45, 3),
    ).double()  # fmt: skip
    with torch.no_grad():
        for leaf in net.parameters():
            leaf += 0.2 * torch.randn_like(leaf)
    x, y = torch.randn(6, 3, 8, 8, dtype=torch.float64), torch.tensor([0, 1, 2, 2, 1, 0])
    params = list(net.parameters())
    way = [torch.randn_like(leaf) for leaf in params]
    asked = (net, torch.nn.CrossEntropyLoss(), params, [(x[:4], y[:4]), (x[4:], y[4:])])
    with jax.enable_x64(True):
        ours = Net(), to_tree(params), jnp.asarray(x.permute(0, 2, 3, 1).numpy()), jnp.asarray(y.numpy())
        yield SimpleNamespace(ours=ours, theirs=asked, way=way, tree=to_tree(way))


def to_tree(leaves):
    """torch's parameters as linen's."""
    arrays = [leaf.detach().numpy() for leaf in leaves]
    kernels = [jnp.asarray(leaf.transpose(*range(2, leaf.ndim), 1, 0)) for leaf in arrays[::2]]
    layers = zip(('one', 'two', 'head'), kernels, map(jnp.asarray, arrays[1::2]), strict=True)
    return {'params': {name: {'kernel': kernel, 'bias': bias} for name, kernel, bias in layers}}


def agree(ours, theirs):
    """Within 1e-8 of the largest number of each parameter."""
    jax.tree.map(
        lambda one, two: np.testing.assert_allclose(one, two, rtol=0, atol=1e-8 * np.abs(two).max()),
        ours,
        to_tree(theirs),
    )


@pytest.mark.parametrize(
    ('kind', 'theirs'),
    [('hessian', 'HessianLinearOperator'), ('ggn', 'GGNLinearOperator'), ('fisher', 'EFLinearOperator')],
)
def test_products_are_those_of_curvlinops(pair, kind, theirs):
    op = gradients.curvature_operator(*pair.ours, kind=kind, batch_size=4)
    agree(as_tree(op, op(op.ravel(pair.tree))), getattr(curvlinops, theirs)(*pair.theirs) @ pair.way)


def as_tree(op, vector):
    return jax.tree.map(jnp.subtract, op.unravel(vector), op.unravel(jnp.zeros_like(vector)))


def test_jacobians_are_those_of_curvlinops(pair):
    op = gradients.jacobian_operator(*pair.ours[:3], batch_size=4)
    theirs = [pair.theirs[0], pair.theirs[2], pair.theirs[3]]
    rows = curvlinops.JacobianLinearOperator(*theirs) @ pair.way
    (rows,) = rows if isinstance(rows, list) else (rows,)
    np.testing.assert_allclose(op(op.ravel(pair.tree)), rows.detach().numpy().ravel(), rtol=1e-8, atol=1e-10)
    back = curvlinops.TransposedJacobianLinearOperator(*theirs) @ [rows]
    agree(as_tree(op, op.transposed(jnp.asarray(rows.detach().numpy().ravel()))), back)


@pytest.mark.parametrize(
    ('kind', 'theirs', 'shared', 'corrected'),
    [
        ('ggn', 'type-2', 'expand', False),
        ('ggn', 'type-2', 'reduce', False),
        ('fisher', 'empirical', 'expand', False),
        ('ggn', 'type-2', 'expand', True),
        ('fisher', 'empirical', 'expand', True),
    ],
)
def test_kronecker_factors_and_their_inverses_are_those_of_curvlinops(pair, kind, theirs, shared, corrected):
    factors = gradients.kronecker_factors(*pair.ours, kind=kind, shared=shared, corrected=corrected, batch_size=4)
    form = curvlinops.EKFACLinearOperator if corrected else curvlinops.KFACLinearOperator
    op = form(*pair.theirs, fisher_type=theirs, kfac_approx=shared, separate_weight_and_bias=False)
    agree(gradients.kronecker_product(factors, pair.tree), op @ pair.way)
    inverse = curvlinops.KFACInverseLinearOperator(op, damping=DAMPING, use_exact_damping=True)
    agree(gradients.kronecker_solve(factors, pair.tree, DAMPING), inverse @ pair.way)


def test_conjugate_gradients_solve_the_system_of_curvlinops_matrix(pair):
    op = gradients.curvature_operator(*pair.ours, kind='ggn')
    found, missed = gradients.conjugate_gradients(op, pair.tree, damping=DAMPING, iterations=200, tolerance=1e-12)
    theirs = curvlinops.GGNLinearOperator(*pair.theirs)
    left = theirs @ [torch.tensor(np.asarray(leaf)) for leaf in from_tree(found)]
    for one, two, wanted in zip(left, from_tree(found), pair.way, strict=True):
        np.testing.assert_allclose(one.detach().numpy() + DAMPING * two, wanted, rtol=0, atol=1e-8)
    assert missed < 1e-11


def from_tree(tree):
    """linen's parameters as torch's."""
    layers = [tree['params'][name] for name in ('one', 'two', 'head')]
    axes = {4: (3, 2, 0, 1), 2: (1, 0)}
    return [
        np.asarray(leaf).transpose(axes[leaf.ndim]) if part == 'kernel' else np.asarray(leaf)
        for layer in layers
        for part, leaf in (('kernel', layer['kernel']), ('bias', layer['bias']))
    ]
