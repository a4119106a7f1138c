"""Conjugate gradients against solutions of dense systems."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_network as small

from alljax import gradients

RNG = np.random.default_rng(3)
BASIS = np.linalg.qr(RNG.normal(size=(9, 9)))[0]
VALUES = np.array([9, 8, 5, 3, 2, 1, 0.5, 0.1, 0.05])
WANTED = RNG.normal(size=9)


def explicit(values, dtype=jnp.float64):
    matrix = jnp.asarray((BASIS * np.asarray(values)) @ BASIS.T, dtype)
    return gradients.Operator(lambda vector: matrix @ vector, matrix[0], lambda vector: vector)


def test_a_system_of_nine_is_solved_in_nine_products():
    with jax.enable_x64(True):
        found, missed = gradients.conjugate_gradients(
            explicit(VALUES), jnp.asarray(WANTED), damping=0.3, iterations=9, tolerance=0.0
        )
    expected = np.linalg.solve((BASIS * (VALUES + 0.3)) @ BASIS.T, WANTED)
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    assert missed < 1e-9


def test_fewer_products_say_what_they_miss_and_a_preconditioner_needs_fewer():
    with jax.enable_x64(True):
        op, vector = explicit(VALUES), jnp.asarray(WANTED)
        found, missed = gradients.conjugate_gradients(op, vector, iterations=2)
        left = (BASIS * VALUES) @ BASIS.T @ found - WANTED
        np.testing.assert_allclose(missed, np.linalg.norm(left) / np.linalg.norm(WANTED), rtol=1e-9)
        inverse = jnp.asarray((BASIS / (VALUES * np.linspace(0.9, 1.1, 9))) @ BASIS.T)
        _, better = gradients.conjugate_gradients(op, vector, iterations=2, preconditioner=lambda own: inverse @ own)
    assert better < 0.1 * missed


@pytest.mark.slow
def test_a_tree_is_solved_for_the_curvature_of_a_network_and_faster_with_its_kronecker_factors():
    case = small.case()
    expected = np.linalg.solve(small.dense() + 0.01 * np.eye(174), small.flat(case.tree))
    with jax.enable_x64(True):
        op = gradients.curvature_operator(small.NET, case.params, case.x, case.y, kind='ggn')
        factors = gradients.kronecker_factors(small.NET, case.params, case.x, case.y, corrected=True)

        def guess(tree):
            return gradients.kronecker_solve(factors, tree, 0.01)

        solved, missed = gradients.conjugate_gradients(op, case.tree, damping=0.01, tolerance=1e-12)
        plain, helped = (
            gradients.conjugate_gradients(op, case.tree, damping=0.01, iterations=5, preconditioner=own)[1]
            for own in (None, guess)
        )
        compiled, same = jax.jit(lambda tree: gradients.conjugate_gradients(op, tree, damping=0.01, tolerance=1e-12))(
            case.tree
        )
    assert jax.tree.structure(solved) == jax.tree.structure(case.params)
    small.assert_near(small.flat(solved), expected)
    small.assert_near(small.flat(compiled), expected)
    assert max(missed, same) < 1e-11
    assert helped < plain


def test_a_matrix_that_curves_down_is_told_and_nan_within_a_program():
    with jax.enable_x64(True):
        down = VALUES - 1
        with pytest.raises(ValueError, match=r"conjugate_gradients: op is not positive: .*kind='ggn' or a larger damp"):
            gradients.conjugate_gradients(explicit(down), jnp.asarray(WANTED))
        found, missed = jax.jit(lambda own: gradients.conjugate_gradients(explicit(down), own))(WANTED)
        assert np.isnan(found).all()
        assert np.isnan(missed)
        with pytest.raises(ValueError, match='conjugate_gradients: preconditioner is not positive'):
            gradients.conjugate_gradients(explicit(VALUES), jnp.asarray(WANTED), preconditioner=jnp.negative)


def test_nothing_is_the_solution_of_nothing():
    with jax.enable_x64(True):
        found, missed = gradients.conjugate_gradients(explicit(VALUES), jnp.zeros(9))
    assert not np.any(found)
    assert missed == 0
