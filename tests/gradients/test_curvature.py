"""Products, eigenvalues, traces and densities of curvature, against the dense matrices of a small smooth network."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny
from jax.flatten_util import ravel_pytree

from alljax import gradients

IMAGES, KEY = 6, 7


class Net(nn.Module):
    """Smooth, so that the Hessian matrix is what it is everywhere; 2,048 parameters."""

    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Conv(4, (3, 3), strides=2, name='stem')(x))
        x = nn.softplus(nn.Dense(28, name='hidden')(x.reshape(len(x), -1)))
        return nn.Dense(4, name='head')(x)


NET = Net()


@pytest.fixture(scope='module')
def case():
    """The network's parameters with random biases, images, labels, and the three matrices in float64."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        x = jnp.asarray(rng.normal(size=(IMAGES, 8, 8, 3)))
        y = np.arange(IMAGES) % 4
        params = jax.tree.map(
            lambda leaf: jnp.asarray(leaf + 0.1 * rng.normal(size=leaf.shape)), jax.jit(NET.init)(jax.random.key(0), x)
        )
        flat, unravel = ravel_pytree(params)

        @jax.jit
        def dense(flat):
            def logits(flat):
                return NET.apply(unravel(flat), x)

            def losses(flat):
                return optax.softmax_cross_entropy_with_integer_labels(logits(flat), y)

            jacobian = jax.jacrev(logits)(flat)
            chance = jax.nn.softmax(logits(flat))
            slopes = jnp.einsum('ni,nip->np', chance - jax.nn.one_hot(y, 4), jacobian)
            middle = jax.vmap(jnp.diag)(chance) - chance[:, :, None] * chance[:, None]
            return {
                'hessian': jax.jacfwd(jax.grad(lambda flat: losses(flat).mean()))(flat),
                'ggn': jnp.einsum('nip,nij,njq->pq', jacobian, middle, jacobian) / IMAGES,
                'fisher': slopes.T @ slopes / IMAGES,
            }

        matrices = {kind: np.asarray(matrix) for kind, matrix in dense(flat).items()}
        return SimpleNamespace(params=params, x=x, y=y, flat=np.asarray(flat), unravel=unravel, matrices=matrices)


def operator(case, kind, **options):
    return gradients.curvature_operator(NET.apply, case.params, case.x, case.y, kind=kind, **options)


def explicit(matrix):
    """The operator of a matrix that is at hand."""
    matrix = jnp.asarray(matrix)
    return gradients.Operator(lambda vector: matrix @ vector, matrix[0], lambda vector: vector)


def symmetric(values, seed=0):
    """A matrix of given eigenvalues."""
    basis, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(values), len(values))))
    return (basis * values) @ basis.T


@pytest.mark.parametrize('kind', ['hessian', 'ggn', 'fisher'])
def test_products_in_batches_are_those_of_the_dense_matrix(case, kind):
    matrix = case.matrices[kind]
    vector = np.random.default_rng(1).normal(size=case.flat.size)
    expected = matrix @ vector
    with jax.enable_x64(True):
        found = operator(case, kind, batch_size=4)(jnp.asarray(vector))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * np.abs(expected).max())


def test_where_chooses_the_rows_and_columns_of_some_parameters(case):
    with jax.enable_x64(True):
        index = np.asarray(
            case.unravel(jnp.arange(case.flat.size, dtype=jnp.float64))['params']['head']['kernel']
        ).astype(int)
        op = operator(case, 'hessian', where='params/head/kernel', batch_size=4)
        assert op.like.shape == (112,)
        np.testing.assert_array_equal(op.like, case.flat[index.ravel()])
        vector = np.random.default_rng(1).normal(size=112)
        expected = case.matrices['hessian'][np.ix_(index.ravel(), index.ravel())] @ vector
        np.testing.assert_allclose(op(jnp.asarray(vector)), expected, rtol=0, atol=1e-7 * np.abs(expected).max())
        moved = op.unravel(jnp.asarray(vector))['params']
    np.testing.assert_array_equal(moved['head']['kernel'].ravel(), vector)
    np.testing.assert_array_equal(moved['head']['bias'], case.params['params']['head']['bias'])
    np.testing.assert_array_equal(moved['stem']['kernel'], case.params['params']['stem']['kernel'])


@pytest.mark.parametrize(
    ('which', 'expected'), [('largest', [9, 4, 3]), ('smallest', [-7, -2, 0.1]), ('magnitude', [9, -7, 4])]
)
def test_eigenvalues_of_a_matrix_come_in_their_order(which, expected):
    values = np.array([9, 4, 3, 2, 1, 0.5, 0.1, -2, -7])
    with jax.enable_x64(True):
        found = gradients.eigenvalues(explicit(symmetric(values)), 3, key=jax.random.key(KEY), which=which)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_converged_eigenvalue_does_not_come_again():
    """Without reorthogonalization the largest is found several times."""
    values = np.array([1e6, 3e4, 9, 8, 7, 6, 5, 4, 3])
    with jax.enable_x64(True):
        found = gradients.eigenvalues(explicit(symmetric(values)), 9, key=jax.random.key(KEY))
    np.testing.assert_allclose(found, values, rtol=1e-6)


@pytest.mark.parametrize('which', ['largest', 'smallest'])
def test_lanczos_ends_where_the_wanted_eigenvalues_are_found_within_the_tolerance(which):
    values = np.concatenate([[-1.6, -1.3, 1.3, 1.6], np.linspace(-1, 1, 96)])
    matrix, asked = jnp.asarray(symmetric(values), jnp.float32), []
    op = explicit(matrix)._replace(product=lambda vector: asked.append(1) or matrix @ vector)
    products = {}
    for tolerance in (1e-2, 1e-6, 0.0):
        asked.clear()
        found, trees = gradients.eigenvectors(op, 2, key=jax.random.key(KEY), which=which, tolerance=tolerance)
        products[tolerance] = len(asked)
        for value, vector in zip(found, trees, strict=True):
            assert np.linalg.norm(matrix @ vector - value * vector) < max(tolerance, 3e-6) * abs(value)
    assert products[1e-2] < products[1e-6] < products[0.0] == 60
    assert products[1e-2] % 8 == products[1e-6] % 8 == 0
    expected = np.sort(values)[::-1][:2] if which == 'largest' else np.sort(values)[:2]
    np.testing.assert_allclose(found, expected, rtol=3e-6)


def test_a_matrix_that_is_spent_takes_no_products_more():
    asked = []
    op = gradients.Operator(lambda vector: asked.append(1) or 2 * vector, jnp.ones(50), lambda vector: vector)
    gradients.spectral_density(op, jax.random.key(KEY), probes=1, points=9)
    assert len(asked) == 8


def test_a_matrix_of_low_rank_has_no_eigenvalue_beyond_its_own():
    """Lanczos' method is spent after four steps; what rounding errors would add is left out."""
    with jax.enable_x64(True):
        found = gradients.eigenvalues(explicit(symmetric([5, 3, 2, *[0] * 6])), 9, key=jax.random.key(KEY))
    assert len(found) == 4
    np.testing.assert_allclose(found, [5, 3, 2, 0], rtol=1e-6, atol=1e-6)


@pytest.mark.slow
def test_a_matrix_of_low_rank_in_single_precision_has_no_eigenvalue_beyond_its_own():
    matrix = symmetric([5, 3, 2, *[0] * 37]).astype(np.float32)
    found = gradients.eigenvalues(explicit(matrix), 40, key=jax.random.key(KEY))
    assert found.dtype == np.float32
    assert len(found) == 4
    np.testing.assert_allclose(found, [5, 3, 2, 0], rtol=1e-4, atol=1e-4)


def test_a_trace_has_the_standard_error_of_its_probes():
    """The sign probes of a 2 by 2 matrix give its trace plus or minus twice the entry beside the diagonal."""
    with jax.enable_x64(True):
        op = explicit(np.array([[3.0, 0.5], [0.5, 1.0]]))
        found, error = gradients.stochastic_trace(op, jax.random.key(KEY), probes=8)
    above = round((float(found) - 3) * 8 / 2)  # how many of the 8 gave 5
    assert 0 < above < 8
    assert float(found) == pytest.approx((5 * above + 3 * (8 - above)) / 8)
    assert float(error) == pytest.approx(np.std([5] * above + [3] * (8 - above), ddof=1) / np.sqrt(8))


def test_a_density_has_mass_one_and_the_mean_of_its_probes():
    matrix = symmetric(np.linspace(-1, 3, 9))
    with jax.enable_x64(True):
        key = jax.random.key(KEY)
        found = gradients.spectral_density(explicit(matrix), key, probes=2, points=400)
        mean, _ = gradients.stochastic_trace(explicit(matrix), key, probes=2)
    assert abs(float(mean) - 9) > 0.1  # of the probes, not of the matrix
    assert np.trapezoid(found.density, found.eigenvalue) == pytest.approx(1, abs=1e-3)
    assert np.trapezoid(found.density * found.eigenvalue, found.eigenvalue) == pytest.approx(float(mean) / 9, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize('which', ['largest', 'smallest', 'magnitude'])
def test_eigenvalues_of_a_network_are_those_of_its_hessian_matrix(case, which):
    dense = np.linalg.eigvalsh(case.matrices['hessian'])
    order = {'largest': -dense, 'smallest': dense, 'magnitude': -np.abs(dense)}[which]
    expected = dense[np.argsort(order)][:3]
    with jax.enable_x64(True):
        found = gradients.eigenvalues(operator(case, 'hessian'), 3, key=jax.random.key(KEY), which=which)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['fisher', 'ggn'])
def test_the_matrices_of_few_images_have_no_eigenvalue_beyond_their_own(case, kind):
    dense = np.linalg.eigvalsh(case.matrices[kind])[::-1]
    rank = {'fisher': IMAGES, 'ggn': 3 * IMAGES}[kind]
    assert dense[rank - 1] > 1e-6 * dense[0] > 1e6 * abs(dense[rank])
    with jax.enable_x64(True):
        found = np.asarray(gradients.eigenvalues(operator(case, kind), 20, key=jax.random.key(KEY), iterations=40))
    assert rank <= len(found) <= rank + 2
    np.testing.assert_allclose(found[:rank], dense[:rank], rtol=1e-6)
    np.testing.assert_allclose(found[rank:], 0, atol=1e-6 * dense[0])


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['hessian', 'fisher'])
def test_the_trace_of_a_network_and_the_mean_of_its_density_are_near_those_of_its_matrix(case, kind):
    with jax.enable_x64(True):
        op, key, size = operator(case, kind), jax.random.key(KEY), case.flat.size
        mean, error = gradients.stochastic_trace(op, key, probes=32)
        assert abs(mean - np.trace(case.matrices[kind])) < 3 * error
        mean, error = gradients.stochastic_trace(op, key, probes=4)
        found = gradients.spectral_density(op, key, probes=4, iterations=12)
    points, heights = np.asarray(found.eigenvalue), np.asarray(found.density)
    middle = np.trapezoid(heights * points, points)
    assert np.trapezoid(heights, points) == pytest.approx(1, abs=1e-3)
    assert middle == pytest.approx(float(mean) / size, abs=1e-3 * np.ptp(points))
    many = np.trace(case.matrices[kind] @ case.matrices[kind])  # the variance of one sign probe is below 2 |A|²
    assert abs(middle - np.trace(case.matrices[kind]) / size) < 3 * np.sqrt(2 * many / 4) / size


def test_an_unknown_kind_a_pattern_of_nothing_and_a_wrong_label_are_refused(case):
    with jax.enable_x64(True):
        with tiny.unchecked(), pytest.raises(ValueError, match='kind is'):
            operator(case, 'newton')
        with pytest.raises(ValueError, match='it matches none of params/head/bias'):
            operator(case, 'ggn', where='head')
        with pytest.raises(ValueError, match='the network has 4 logits'):
            gradients.curvature_operator(NET.apply, case.params, case.x, case.y + 2)


def test_wrong_numbers_of_eigenvalues_and_probes_are_refused():
    op, key = explicit(np.eye(3, dtype=np.float32)), jax.random.key(KEY)
    with pytest.raises(ValueError, match='k is 4: expected 1 to 3'):
        gradients.eigenvalues(op, 4, key=key)
    with pytest.raises(ValueError, match='k is 0'):
        gradients.eigenvalues(op, 0, key=key)
    with tiny.unchecked(), pytest.raises(ValueError, match='which is'):
        gradients.eigenvalues(op, 1, key=key, which='middle')
    with pytest.raises(ValueError, match='probes is 1'):
        gradients.stochastic_trace(op, key, probes=1)


def wide_and_half(dtype):
    """The curvature of a network with parameters in float32, and of the same ones in half precision."""
    wide = tiny.variables(tiny.Tiny(act=nn.tanh))
    half = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), wide)
    model = tiny.Tiny(act=nn.tanh)
    return [gradients.curvature_operator(model, params, tiny.images(), tiny.TARGET, where='params/head/.*')
            for params in (jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), half), half)]  # fmt: skip


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_parameters_of_half_precision_are_taken_in_float32(dtype):
    wide, half = wide_and_half(dtype)
    assert half.like.dtype == jnp.float32
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(half.unravel(half.like)))
    found, expected = (gradients.eigenvalues(op, 1, key=jax.random.key(KEY), iterations=4) for op in (half, wide))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_operator_of_half_precision_is_asked_in_its_own_type():
    diagonal = jnp.array([8.0, 4.0, 2.0, -1.0], jnp.bfloat16)
    op = gradients.Operator(lambda vector: diagonal * vector, jnp.ones(4, jnp.bfloat16), lambda vector: vector)
    with tiny.unchecked():
        np.testing.assert_allclose(
            gradients.eigenvalues(op, 4, key=jax.random.key(KEY)), [8, 4, 2, -1], rtol=0.02, atol=0.05
        )
        trace, error = gradients.stochastic_trace(op, jax.random.key(KEY), 4)
        np.testing.assert_allclose((trace, error), (13, 0), atol=1e-3)
        density = gradients.spectral_density(op, jax.random.key(KEY), probes=2, points=64)
    assert density.density.dtype == jnp.float32
    np.testing.assert_allclose(jnp.trapezoid(density.density, density.eigenvalue), 1, rtol=0.01)


def test_a_matrix_that_is_spent_at_once_gives_its_eigenvalue():
    op = gradients.Operator(lambda vector: 2 * vector, jnp.ones(3), lambda vector: vector)
    np.testing.assert_allclose(gradients.eigenvalues(op, 2, key=jax.random.key(KEY)), [2], rtol=1e-6)
