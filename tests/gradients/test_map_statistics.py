import jax
import numpy as np
import tiny

from alljax import gradients


def test_sparseness_is_the_gini_index_of_absolute_values():
    """Hurley & Rickard 2009, as Chalasani et al. cite it: 1 − 2 Σ v(k) / |v| · (d − k + 1/2) / d, v ascending."""
    maps = tiny.images(3)
    found = gradients.sparseness(maps)
    for value, one in zip(found, maps, strict=True):
        flat = np.sort(np.abs(one).ravel())
        size = len(flat)
        total = sum(flat[k - 1] / flat.sum() * (size - k + 0.5) / size for k in range(1, size + 1))
        np.testing.assert_allclose(value, 1 - 2 * total, rtol=1e-4)
    np.testing.assert_allclose(gradients.sparseness(np.ones((1, 4, 4), np.float32)), 0, atol=1e-7)


def test_complexity_is_the_entropy_of_shares():
    maps = tiny.images(3)
    for value, one in zip(gradients.complexity(maps), maps, strict=True):
        expected = 0.0
        for mark in np.abs(one).ravel() / np.abs(one).sum():
            expected -= mark * np.log(mark)
        np.testing.assert_allclose(value, expected, rtol=1e-4)
    np.testing.assert_allclose(gradients.complexity(np.ones((1, 4, 4), np.float32)), np.log(16), rtol=1e-6)


def test_a_map_of_zeros_has_neither():
    for function in (gradients.sparseness, gradients.complexity):
        found = np.asarray(jax.jit(function)(np.stack([np.zeros((2, 2), np.float32), np.eye(2, dtype=np.float32)])))
        assert np.isnan(found).tolist() == [True, False]
