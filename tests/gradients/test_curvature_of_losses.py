"""Curvature of any loss, and eigenvectors, start vectors and programs of jit, against dense matrices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from alljax import gradients

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 3)), RNG.normal(size=(6, 2))
PARAMS = {'hidden': RNG.normal(size=(3, 4)), 'out': RNG.normal(size=(4, 2))}
KEY = jax.random.key(3)


def apply(params, x):
    return jnp.tanh(x @ params['hidden']) @ params['out']


def quartic(outputs, y):
    return jnp.sum((outputs - y) ** 4, 1)


def loss(params, x, y):
    return quartic(apply(params, x), y)


def matrices():
    """The dense matrices in float64."""
    flat = jnp.asarray(ravel_pytree(PARAMS)[0])
    unravel = ravel_pytree(jax.tree.map(jnp.asarray, PARAMS))[1]
    outputs = apply(unravel(flat), X)
    jacobian = jax.jacrev(lambda flat: apply(unravel(flat), X))(flat)
    middle = jax.vmap(jax.hessian(lambda output, y: quartic(output[None], y[None])[0]))(outputs, jnp.asarray(Y))
    slopes = jax.jacrev(lambda flat: loss(unravel(flat), X, Y))(flat)
    return {
        'hessian': jax.hessian(lambda flat: loss(unravel(flat), X, Y).mean())(flat),
        'ggn': jnp.einsum('nip,nij,njq->pq', jacobian, middle, jacobian) / 6,
        'fisher': slopes.T @ slopes / 6,
    }


@pytest.fixture(scope='module')
def dense():
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, matrices())


def operator(form, kind, **options):
    if form == 'outputs':
        return gradients.curvature_operator(apply, PARAMS, X, Y, output_loss=quartic, kind=kind, **options)
    return gradients.curvature_operator(loss=loss, params=PARAMS, x=X, y=Y, kind=kind, **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('form', 'kind'),
    [('outputs', 'hessian'), ('outputs', 'ggn'), ('outputs', 'fisher'), ('loss', 'hessian'), ('loss', 'fisher')],
)
def test_the_curvature_of_a_regression_is_that_of_the_dense_matrix(dense, form, kind):
    with jax.enable_x64(True):
        op = operator(form, kind, batch_size=4)
        found = jax.vmap(op)(jnp.eye(op.like.size))
    np.testing.assert_allclose(found, dense[kind], atol=1e-7 * np.abs(dense[kind]).max())


@pytest.mark.slow
@pytest.mark.parametrize('which', ['largest', 'smallest'])
def test_eigenvectors_are_those_of_the_dense_matrix(dense, which):
    values, vectors = np.linalg.eigh(dense['hessian'])
    order = np.argsort(-values if which == 'largest' else values)[:2]
    with jax.enable_x64(True):
        op = operator('loss', 'hessian')
        found, trees = gradients.eigenvectors(op, 2, key=KEY, which=which)
        for value, vector, own, tree in zip(values[order], vectors.T[order], found, trees, strict=True):
            np.testing.assert_allclose(own, value, rtol=1e-7)
            flat = op.ravel(tree)
            np.testing.assert_allclose(flat * np.sign(flat @ vector), vector, atol=1e-6)
            assert tree['hidden'].shape == (3, 4)


@pytest.mark.slow
def test_an_eigenvector_of_some_parameters_is_zero_elsewhere(dense):
    with jax.enable_x64(True):
        _, (tree,) = gradients.eigenvectors(operator('loss', 'hessian', where='out'), 1, key=KEY)
    tree = jax.tree.map(np.asarray, tree)
    assert not tree['hidden'].any()
    np.testing.assert_allclose(np.linalg.norm(tree['out']), 1)
    _, vectors = np.linalg.eigh(dense['hessian'][12:, 12:])
    assert abs(vectors[:, -1] @ tree['out'].ravel()) == pytest.approx(1, abs=1e-6)


@pytest.mark.slow
def test_a_start_near_the_eigenvector_needs_few_products(dense):
    largest = np.linalg.eigvalsh(dense['hessian'])[-1]
    with jax.enable_x64(True):
        op = operator('loss', 'hessian')
        _, (tree,) = gradients.eigenvectors(op, 1, key=KEY)
        cold, warm, flat = (
            gradients.eigenvalues(op, 1, key=KEY, iterations=2, start=start)[0]
            for start in (None, tree, op.ravel(tree))
        )
        assert abs(warm - largest) < 1e-4 * largest < abs(cold - largest)
        assert warm == flat
        again, (same,) = gradients.eigenvectors(op, 1, key=KEY, start=jax.tree.map(jnp.negative, tree))
        np.testing.assert_allclose(again[0], largest, rtol=1e-7)
        np.testing.assert_allclose(same['out'], -tree['out'], atol=1e-6)  # the sign is that of the start


@pytest.mark.slow
def test_within_jit_the_result_has_k_values_and_nan_where_there_are_fewer():
    few = np.diag([5.0, 3.0, 0, 0, 0]).astype(np.float32)

    @jax.jit
    def found(matrix, key):
        op = gradients.Operator(lambda vector: matrix @ vector, matrix[0], lambda vector: vector)
        trace = gradients.stochastic_trace(op, key, probes=2)[0]
        return *gradients.eigenvectors(op, 4, key=key), trace, gradients.spectral_density(op, key, probes=2, points=9)

    values, vectors, trace, density = found(few, KEY)
    np.testing.assert_allclose(values, [5, 3, 0, np.nan], atol=1e-5)
    np.testing.assert_allclose(np.abs(vectors[0]), [1, 0, 0, 0, 0], atol=1e-5)
    assert np.isnan(vectors[3]).all()
    np.testing.assert_allclose(trace, 8, rtol=1e-6)
    assert np.isfinite(density.density).all()


def test_within_jit_lanczos_ends_at_the_tolerance_too():
    def found(diagonal, tolerance):
        op = gradients.Operator(lambda vector: diagonal * vector, diagonal, lambda vector: vector)
        return gradients.eigenvalues(op, 1, key=KEY, tolerance=tolerance)

    diagonal = jnp.asarray([1.2, *np.linspace(-1, 1, 99)], jnp.float32)
    rough, fine = (jax.jit(found)(diagonal, tolerance) for tolerance in (0.3, 1e-6))
    np.testing.assert_allclose(rough, found(diagonal, 0.3), rtol=3e-6)
    np.testing.assert_allclose(fine, 1.2, rtol=3e-6)
    assert abs(rough - fine) > 1e-5


def test_a_training_step_may_ask_for_the_largest_eigenvalue(dense):
    @jax.jit
    def step(params):
        op = gradients.curvature_operator(loss=loss, params=params, x=X, y=Y)
        return gradients.eigenvalues(op, 1, key=KEY)[0]

    np.testing.assert_allclose(step(jax.tree.map(jnp.float32, PARAMS)), np.linalg.eigvalsh(dense['hessian'])[-1], 1e-4)


def test_an_operator_of_the_same_functions_is_compiled_once():
    calls = []

    def counted(params, x, y):
        calls.append(1)
        return loss(params, x, y)

    for scale in (1, 2, 3):
        params = jax.tree.map(lambda leaf: np.float32(scale * leaf), PARAMS)  # noqa: B023
        op = gradients.curvature_operator(loss=counted, params=params, x=np.float32(X), y=np.float32(Y))
        gradients.eigenvalues(op, 1, key=KEY, iterations=3)
        traced = traced if scale > 1 else len(calls)  # noqa: F821
    assert len(calls) == traced


@pytest.mark.parametrize(
    ('options', 'said'),
    [
        ({}, 'neither of apply and loss are given'),
        ({'apply': apply, 'loss': loss}, 'both of apply and loss are given'),
        (
            {'loss': loss, 'kind': 'ggn'},
            "loss does not say what the network's outputs are, .*give apply, and output_loss",
        ),
        ({'loss': lambda params, x, y: loss(params, x, y).sum()}, 'loss gives one number for 2 examples'),
        (
            {'apply': apply, 'output_loss': lambda outputs, y: outputs - y},
            r'loss\(params, x, y\) returned \(2, 2\) for 2',
        ),
    ],
)
def test_a_loss_that_does_not_fit_is_told(options, said):
    with pytest.raises(ValueError, match=f'curvature_operator: {said}'):
        gradients.curvature_operator(
            params=jax.tree.map(np.float32, PARAMS), x=np.float32(X), y=np.float32(Y), **options
        )
