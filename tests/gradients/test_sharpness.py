"""Ascent steps against their formulas, and the worst loss in a ball against that of a quadratic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alljax import gradients

RNG = np.random.default_rng(2)
X = RNG.normal(size=(12, 3))
Y = RNG.normal(size=(12, 2))
PARAMS = {'w': RNG.normal(size=(3, 2)), 'b': RNG.normal(size=2)}
KEY = jax.random.key(1)


def loss(params, x, y):
    return jnp.sum((x @ params['w'] + params['b'] - y) ** 2, 1)


def inputs():
    return loss, jax.tree.map(jnp.asarray, PARAMS), jnp.asarray(X), jnp.asarray(Y)


def slopes():
    left = 2 * (X @ PARAMS['w'] + PARAMS['b'] - Y) / len(X)
    return {'w': X.T @ left, 'b': left.sum(0)}


@pytest.mark.parametrize('adaptive', [False, True])
def test_sam_s_step_leads_along_the_gradient(adaptive):
    with jax.enable_x64(True):
        found = gradients.sam_perturbation(*inputs(), radius=0.3, adaptive=adaptive, batch_size=5)
    gradient = slopes()
    scale = {name: np.abs(leaf) if adaptive else np.ones_like(leaf) for name, leaf in PARAMS.items()}
    length = np.sqrt(sum(np.sum((gradient[name] * scale[name]) ** 2) for name in gradient))
    for name, leaf in gradient.items():
        np.testing.assert_allclose(found[name], 0.3 * leaf * scale[name] ** 2 / length, rtol=1e-9)


def worst_of_quadratic(radius):
    """The largest of b · s + s · A s / 2 over steps s of a length: (μ − A) s = b, where ‖s‖ = radius."""
    design = np.concatenate([X, np.ones((12, 1))], 1)
    matrix = np.kron(2 * design.T @ design / len(X), np.eye(2))
    slope = np.concatenate([slopes()['w'], slopes()['b'][None]]).ravel()
    values, vectors = np.linalg.eigh(matrix)
    along = vectors.T @ slope
    low, high = values[-1], values[-1] + np.linalg.norm(slope) / radius
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.linalg.norm(along / (middle - values)) > radius else (low, middle)
    step = along / (high - values)
    return along @ step + step @ (values * step) / 2


def test_the_worst_loss_in_a_ball_is_that_of_the_quadratic():
    with jax.enable_x64(True):
        given = inputs()
        found = gradients.worst_loss(*given, radius=0.5, steps=60, batch_size=5)
        here = gradients.mean_loss(given[0], *given[2:])
        there = here(jax.tree.map(jnp.add, given[1], found.step))
        start = here(given[1])
    np.testing.assert_allclose(found.loss, start, rtol=1e-12)
    np.testing.assert_allclose(found.worst, there, rtol=1e-12)
    length = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(found.step)))
    assert length <= 0.5 * (1 + 1e-12)
    np.testing.assert_allclose(found.worst - found.loss, worst_of_quadratic(0.5), rtol=1e-4)


def test_a_ball_of_no_size_has_the_loss_itself_and_a_random_start_rises_too():
    with jax.enable_x64(True):
        none, drawn = (gradients.worst_loss(*inputs(), radius=size, steps=12, key=KEY) for size in (0.0, 0.5))
    assert none.worst == none.loss
    assert drawn.worst > drawn.loss + 0.9 * worst_of_quadratic(0.5)
