"""Diagonals of curvature, Jacobians and sampled Fisher matrices against dense matrices, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_network as small

from alljax import gradients

KEY = jax.random.key(5)


def ask(function, loss='cross_entropy', **options):
    case = small.case()
    if loss == 'squares':
        options['output_loss'] = small.squares
    return function(small.NET, case.params, case.x, case.y, batch_size=4, **options)


@pytest.mark.parametrize(
    ('kind', 'loss'),
    [
        ('ggn', 'cross_entropy'),
        pytest.param('ggn', 'squares', marks=pytest.mark.slow),
        pytest.param('fisher', 'cross_entropy', marks=pytest.mark.slow),
    ],
)
def test_the_diagonal_is_that_of_the_dense_matrix(kind, loss):
    with jax.enable_x64(True):
        found = ask(gradients.curvature_diagonal, loss, kind=kind)
    small.assert_near(small.flat(found), np.diag(small.dense(kind, loss)))


@pytest.mark.slow
def test_the_diagonal_of_a_loss_without_its_network_and_of_layers_without_a_short_form():
    case = small.case()

    def apply(params, x):  # called anew for each example: no layer is recorded
        return jax.vmap(lambda row: small.NET.apply(params, row[None])[0])(x)

    def loss(params, x, y):
        return small.cross_entropy(apply(params, x), y)

    with jax.enable_x64(True):
        found = gradients.curvature_diagonal(loss=loss, params=case.params, x=case.x, y=case.y, kind='fisher')
        exact = gradients.curvature_diagonal(apply, case.params, case.x, case.y, where='params/(norm|head)/.*')
    small.assert_near(small.flat(found), np.diag(small.dense('fisher')))
    expected = np.diag(small.dense())
    for name, index in small.places().items():
        layer, part = name.split('/')
        wanted = expected[index] if layer in ('norm', 'head') else np.zeros(index.shape)
        np.testing.assert_allclose(exact['params'][layer][part], wanted, atol=1e-7 * expected.max())


@pytest.mark.slow
@pytest.mark.parametrize('loss', ['cross_entropy', 'squares'])
def test_a_sampled_fisher_matrix_is_near_the_gauss_newton_matrix(loss):
    """Its products, its diagonal and its trace come from the same labels; four hundred of them each are near all."""
    sampled = {'kind': 'sampled_fisher', 'key': KEY, 'samples': 400}
    with jax.enable_x64(True):
        op = ask(gradients.curvature_operator, loss, **sampled)
        matrix = np.asarray(jax.vmap(op)(jnp.eye(op.like.size)))
        diagonal = ask(gradients.curvature_diagonal, loss, **sampled)
    small.assert_near(small.flat(diagonal), np.diag(matrix))
    expected = small.dense('ggn', loss)
    assert np.linalg.norm(matrix - expected) < 0.1 * np.linalg.norm(expected)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-9 * np.abs(matrix).max())


def test_a_jacobian_and_its_transpose_are_those_of_the_dense_matrix():
    case, expected = small.case(), small.passes().jacobian.reshape(-1, 174)
    with jax.enable_x64(True):
        op = gradients.jacobian_operator(small.NET, case.params, case.x, batch_size=4)
        vector, rows = np.asarray(op.ravel(case.tree)), np.arange(18.0)
        forward, back = op(jnp.asarray(vector)), op.transposed(jnp.asarray(rows))
        head = gradients.jacobian_operator(small.NET, case.params, case.x, where='params/head/bias')
        changed = head(jnp.arange(3.0))
    small.assert_near(forward, expected @ vector)
    small.assert_near(back, rows @ expected)
    small.assert_near(op.outputs, small.passes().logits.ravel())
    np.testing.assert_allclose(changed.reshape(6, 3), np.broadcast_to([0, 1, 2], (6, 3)))


def test_a_sampled_matrix_asks_for_a_key_and_for_the_network():
    case = small.case()
    with jax.enable_x64(True):
        with pytest.raises(ValueError, match='curvature_operator: key is None; a sampled Fisher matrix draws labels'):
            ask(gradients.curvature_operator, kind='sampled_fisher')
        with pytest.raises(ValueError, match=r'curvature_diagonal: loss does not say .* the sampled Fisher matrix'):
            gradients.curvature_diagonal(
                loss=lambda params, x, y: x.sum((1, 2, 3)), params=case.params, x=case.x, y=case.y, key=KEY,
                kind='sampled_fisher',
            )  # fmt: skip
