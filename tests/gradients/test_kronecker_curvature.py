"""Kronecker factors against dense matrices from formulas of their own."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_network as small

from alljax import gradients
from alljax.gradients import kronecker_curvature

KEY = jax.random.key(5)


def factors(kind='ggn', loss='cross_entropy', **options):
    case = small.case()
    if loss == 'squares':
        options['output_loss'] = small.squares
    return gradients.kronecker_factors(small.NET, case.params, case.x, case.y, kind=kind, batch_size=4, **options)


@pytest.mark.parametrize(
    ('kind', 'loss', 'shared', 'corrected'),
    [
        ('ggn', 'cross_entropy', 'expand', True),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in [
                ('ggn', 'cross_entropy', 'expand', False),
                ('ggn', 'cross_entropy', 'reduce', False),
                ('ggn', 'squares', 'expand', True),
                ('fisher', 'cross_entropy', 'expand', False),
                ('fisher', 'squares', 'expand', True),
            ]
        ),
    ],
)
def test_products_and_solutions_are_those_of_the_dense_matrix(kind, loss, shared, corrected):
    expected, case = small.kronecker(kind, loss, shared, corrected), small.case()
    with jax.enable_x64(True):
        found = factors(kind, loss, shared=shared, corrected=corrected)
        product = gradients.kronecker_product(found, case.tree)
        solved = gradients.kronecker_solve(found, case.tree, 0.01)
    vector = small.flat(case.tree)
    small.assert_near(small.flat(product), expected @ vector)
    small.assert_near(small.flat(solved), np.linalg.solve(expected + 0.01 * np.eye(len(vector)), vector))
    assert {name for names in found.layers for name in names} | set(found.diagonal) == {
        f'params/{name}' for name in small.places()
    }


@pytest.mark.slow
def test_sampled_factors_are_near_those_of_the_predictions_and_the_same_in_any_batches():
    """A thousand labels of each example, against all of them; in batches the same labels are drawn."""
    case = small.case()
    with jax.enable_x64(True):
        ask = (small.NET, case.params, case.x, case.y)
        found, whole = (
            gradients.kronecker_factors(*ask, kind='sampled_fisher', key=KEY, samples=1000, batch_size=size)
            for size in (4, None)
        )
        product, again = (gradients.kronecker_product(own, case.tree) for own in (found, whole))
    small.assert_near(small.flat(product), small.flat(again), 1e-9)
    small.assert_near(small.flat(product), small.kronecker() @ small.flat(case.tree), 0.1)


def test_parameters_that_do_not_vary_stay_where_they_are():
    case = small.case()
    with jax.enable_x64(True):
        found = factors(where='params/(head/.*|stem/bias)')
        moved = gradients.kronecker_solve(found, case.tree, 0.5)['params']
    assert set(found.layers) == {('params/head/kernel', 'params/head/bias')}
    assert set(found.diagonal) == {'params/stem/bias'}
    assert not any(np.any(leaf) for leaf in jax.tree.leaves((moved['grouped'], moved['norm'], moved['stem']['kernel'])))
    variance = np.diag(small.dense())[small.places()['stem/bias']]
    small.assert_near(moved['stem']['bias'], np.asarray(case.tree['params']['stem']['bias']) / (variance + 0.5))


def test_a_network_without_linen_s_layers_and_a_tree_of_another_network_are_told():
    case = small.case()
    x, y = jnp.ones((2, 3)), jnp.array([0, 1])
    plain = (lambda params, x: x @ params['w']), {'w': jnp.ones((3, 2))}, x, y
    with pytest.raises(ValueError, match=r'kronecker_factors: params: no flax.linen.Dense or Conv .*use curv'):
        gradients.kronecker_factors(*plain)
    assert gradients.curvature_diagonal(*plain)['w'].shape == (3, 2)  # which the sentence names, and the next
    op = gradients.curvature_operator(*plain, kind='ggn')
    assert gradients.conjugate_gradients(op, plain[1], damping=1.0)[1] < 1e-5
    with jax.enable_x64(True):
        found = factors()
        with pytest.raises(ValueError, match=r'kronecker_solve: tree and factors differ in params/grouped/kernel'):
            gradients.kronecker_solve(found, {'w': jnp.ones(2)}, 1.0)
        other = jax.tree.map(lambda leaf: leaf[:1], case.tree)
        with pytest.raises(ValueError, match=r'kronecker_product: tree has shape \(1,\) at params/norm/b.* the 6'):
            gradients.kronecker_product(found, other)
        with pytest.raises(ValueError, match=r'kronecker_solve: damping is 0, and the curvature has flat directions'):
            gradients.kronecker_solve(found, case.tree, 0.0)


@pytest.mark.parametrize('rank', [3, 5])
def test_the_eigenvectors_of_few_directions_are_those_of_all(rank):
    """Three went into the matrix, of five that might have."""
    rng = np.random.default_rng(0)
    rows = np.zeros((2, 5, 64))
    rows[:, :3] = rng.normal(size=(2, 3, 64)) * np.array([1, 1e-2, 1e-4])[:, None]
    moment = rows.swapaxes(1, 2) @ rows
    with jax.enable_x64(True):
        values, vectors = map(np.asarray, kronecker_curvature._eigenvectors(jnp.asarray(moment), rank))
    np.testing.assert_allclose(vectors.swapaxes(1, 2) @ vectors, np.broadcast_to(np.eye(64), (2, 64, 64)), atol=1e-12)
    np.testing.assert_allclose((vectors * values[:, None]) @ vectors.swapaxes(1, 2), moment, atol=1e-12)
    np.testing.assert_allclose(np.sort(values)[:, -3:], np.linalg.eigvalsh(moment)[:, -3:], rtol=1e-6)


class Places(nn.Module):
    """The same layer at each of four places: as a dense layer of tokens, or as a convolution of single pixels."""

    dense: bool

    @nn.compact
    def __call__(self, x):
        layer = nn.Dense(2, name='layer') if self.dense else nn.Conv(2, (1, 1), name='layer')
        return nn.tanh(layer(x)).reshape(len(x), -1) @ jnp.linspace(-1, 1, 24, dtype=x.dtype).reshape(8, 3)


@pytest.mark.slow
@pytest.mark.parametrize('shared', ['expand', 'reduce'])
def test_a_dense_layer_of_tokens_has_the_factors_of_a_convolution_of_single_pixels(shared):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(5, 2, 2, 3)), np.arange(5) % 3
    kernel, bias = rng.normal(size=(3, 2)), rng.normal(size=2)
    with jax.enable_x64(True):
        dense, conv = (
            gradients.kronecker_factors(
                Places(own), {'params': {'layer': {'kernel': jnp.asarray(kernel.reshape(shape)), 'bias': bias}}},
                x.reshape(5, 4, 3) if own else x, y, shared=shared, corrected=True,
            )
            for own, shape in ((True, (3, 2)), (False, (1, 1, 3, 2)))
        )  # fmt: skip
        trees = [{'params': {'layer': {'kernel': np.ones(shape), 'bias': np.arange(2.0)}}}
                 for shape in ((3, 2), (1, 1, 3, 2))]  # fmt: skip
        one, two = (gradients.kronecker_product(*pair) for pair in zip((dense, conv), trees, strict=True))
    small.assert_near(small.flat(one), small.flat(two), 1e-12)
