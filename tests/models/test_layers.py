from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alljax.models.layers import adaptive_avg_pool, avg_pool, max_pool, scaled


def gradient(pool, x):
    return jax.grad(lambda x: (pool(x) ** 2).sum())(x)


@partial(jax.jit, static_argnums=(0, 2))
def values_and_gradients(pools, x, arguments):
    """Of each pool; one program is compiled for all of them."""
    return [(pool(x, *arguments), gradient(lambda x, pool=pool: pool(x, *arguments), x)) for pool in pools]


@pytest.mark.parametrize('shape', [(2, 56, 56, 5), (1, 27, 27, 3), (1, 13, 14, 2), (1, 3, 3, 1)])
@pytest.mark.parametrize(('window', 'stride', 'padding'), [(3, 2, 0), (3, 2, 1), (3, 1, 1), (2, 2, 0)])
def test_pools_are_the_library_s(shape, window, stride, padding):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    ours = values_and_gradients((max_pool, avg_pool), x, (window, stride, padding))
    theirs = values_and_gradients(
        (nn.max_pool, nn.avg_pool), x, ((window, window), (stride, stride), ((padding, padding),) * 2)
    )
    for (our, our_gradient), (their, their_gradient) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our, their, atol=1e-6)
        np.testing.assert_allclose(our_gradient, their_gradient, atol=1e-5)


@pytest.mark.parametrize(('length', 'padding', 'expected'), [(6, 0, 3), (7, 0, 3), (5, 0, 2), (4, 1, 3), (3, 1, 2)])
def test_the_last_incomplete_window_counts_on_demand(length, padding, expected):
    """Torch's `ceil_mode`: a last window that would begin in the right border is left out."""
    x = jnp.arange(length * 1.0).reshape(1, length, 1, 1) * jnp.ones((1, 1, length, 1))
    pooled = max_pool(x, 3, 2, padding, ceil=True)
    assert pooled.shape == (1, expected, expected, 1)
    assert pooled[0, -1, -1, 0] == length - 1


def test_adaptive_pools_cover_the_image():
    x = jnp.arange(7.0).reshape(1, 7, 1, 1) * jnp.ones((1, 1, 7, 1))
    pooled = adaptive_avg_pool(x, 3)[0, :, 0, 0]
    np.testing.assert_allclose(pooled, [1.0, 3.0, 5.0])  # rows 0–2, 2–4, 4–6
    assert adaptive_avg_pool(x, 7) is x


def test_widths_leave_at_least_one_multiple():
    assert (scaled(64, 1.0), scaled(64, 0.1), scaled(64, 0.001), scaled(64, 0.3, 8)) == (64, 6, 1, 16)
