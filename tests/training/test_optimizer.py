import jax.numpy as jnp
import numpy as np
import optax
import pytest

from alljax.training import optimizer
from alljax.training.optimizer import OptimizerOptions


def test_sgd_is_matlab_s_momentum_with_l2_on_kernels_and_a_rate_for_each_layer():
    start = {'old/kernel': jnp.array([1.0, -2.0]), 'old/bias': jnp.array([3.0]), 'head/kernel': jnp.array([4.0])}
    factors = {'old/kernel': 1.0, 'old/bias': 1.0, 'head/kernel': 20.0}
    update = optimizer.make(OptimizerOptions(rate=0.01, momentum=0.9, l2=0.1), factors, 10, 5)
    ours, state = start, update.init(start)
    expected = {name: np.asarray(value) for name, value in start.items()}
    velocity = {name: np.zeros_like(value) for name, value in expected.items()}
    for step in range(4):
        gradient = {name: jnp.full_like(value, 0.5 * (step + 1)) for name, value in ours.items()}
        updates, state = update.update(gradient, state, ours)
        ours = optax.apply_updates(ours, updates)
        for name in expected:
            l2 = 0.1 * expected[name] if name.endswith('kernel') else 0
            velocity[name] = 0.9 * velocity[name] - 0.01 * factors[name] * (0.5 * (step + 1) + l2)
            expected[name] = expected[name] + velocity[name]
    for name in expected:
        np.testing.assert_allclose(ours[name], expected[name], rtol=1e-5)


def test_schedules_rise_stay_and_fall_where_they_should():
    constant = optimizer.learning_rate(OptimizerOptions(rate=0.5), 100, 10)
    assert constant(0) == constant(99) == 0.5
    cosine = optimizer.learning_rate(OptimizerOptions(rate=0.5, schedule='cosine', warmup=2.0), 100, 10)
    rates = np.array([cosine(step) for step in range(101)])
    assert 0 < rates[0] < 0.05
    assert (np.diff(rates[:21]) > 0).all()
    assert rates.argmax() == 20
    assert rates[20] == pytest.approx(0.5)
    assert (np.diff(rates[20:]) <= 0).all()
    assert rates[60] == pytest.approx(0.25)
    assert rates[100] == pytest.approx(0, abs=1e-8)


def test_clip_limits_the_gradient():
    update = optimizer.make(OptimizerOptions(rate=1.0, momentum=0.0, l2=0.0, clip=1.0), {'a/bias': 1.0}, 10, 5)
    params = {'a/bias': jnp.zeros(2)}
    updates, _ = update.update({'a/bias': jnp.array([30.0, 40.0])}, update.init(params), params)
    np.testing.assert_allclose(updates['a/bias'], [-0.6, -0.8], rtol=1e-5)


def test_adamw_is_optax_s():
    params = {'a/kernel': jnp.array([1.0, 2.0])}
    gradient = {'a/kernel': jnp.array([0.3, -0.1])}
    ours = optimizer.make(OptimizerOptions(name='adamw', rate=0.1, l2=0.01), {'a/kernel': 2.0}, 10, 5)
    theirs = optax.adamw(0.2, b1=0.9, weight_decay=0.01)
    for a, b in zip(*(u.update(gradient, u.init(params), params)[0].values() for u in (ours, theirs)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
