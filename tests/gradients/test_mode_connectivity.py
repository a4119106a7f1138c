"""Straight lines and Bézier curves between two minima with a wall between them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alljax import gradients

ONE, OTHER = {'at': jnp.array([1.0, 0.0])}, {'at': jnp.array([-1.0, 0.0])}
X, Y, KEY = jnp.zeros((2, 1)), jnp.zeros(2), jax.random.key(0)


def loss(params, x, y):
    """A valley along the unit circle, lowest above: the straight way leads over its middle."""
    across, up = params['at']
    return jnp.broadcast_to((across**2 + up**2 - 1) ** 2 + 0.01 * (1 - up), y.shape)


def test_the_straight_line_leads_over_the_wall():
    found = gradients.loss_along_path(gradients.mean_loss(loss, X, Y), ONE, OTHER, points=5)
    np.testing.assert_allclose(found.position, [0, 0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found.loss, [0.01, 0.5725, 1.01, 0.5725, 0.01], rtol=1e-5)
    np.testing.assert_allclose(found.barrier, 1, rtol=1e-5)


def test_a_curve_is_the_bezier_curve_of_its_bend():
    bend = {'at': jnp.array([0.5, 3.0])}
    found = gradients.loss_along_path(lambda params: params['at'][0] + 10 * params['at'][1], ONE, OTHER, bend, points=3)
    middle = 0.25 + 0.5 * 0.5 - 0.25 + 10 * 0.5 * 3.0
    np.testing.assert_allclose(found.loss, [1, middle, -1], rtol=1e-6)


def test_a_trained_curve_goes_around_the_wall():
    bend = gradients.bezier_bend(loss, ONE, X, Y, OTHER, key=KEY, steps=60, rate=0.2, examples=1)
    found = gradients.loss_along_path(gradients.mean_loss(loss, X, Y), ONE, OTHER, bend)
    assert found.barrier < 0.2
    assert abs(bend['at'][1]) > 1


def test_ends_of_two_networks_and_a_path_of_one_point_are_told():
    mean = gradients.mean_loss(loss, X, Y)
    with pytest.raises(ValueError, match=r'loss_along_path: other and params differ in'):
        gradients.loss_along_path(mean, ONE, {'there': OTHER['at']})
    with pytest.raises(ValueError, match=r'loss_along_path: bend has shape \(1,\) at at, params \(2,\)'):
        gradients.loss_along_path(mean, ONE, OTHER, {'at': jnp.zeros(1)})
    with pytest.raises(ValueError, match='loss_along_path: points is 1; expected 2 or more'):
        gradients.loss_along_path(mean, ONE, OTHER, points=1)
