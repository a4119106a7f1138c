import jax.numpy as jnp
import numpy as np
import optax

from alljax.training.loss import cross_entropy, mean_of_present

LOGITS = jnp.log(jnp.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]))


def test_it_is_minus_the_logarithm_of_the_probability_times_the_weight_of_the_class():
    label = jnp.array([0, 2])
    np.testing.assert_allclose(cross_entropy(LOGITS, label), -np.log([0.5, 0.1]), rtol=1e-6)
    weighted = cross_entropy(LOGITS, label, jnp.array([2.0, 1.0, 0.5]))
    np.testing.assert_allclose(weighted, -np.log([0.5, 0.1]) * [2.0, 0.5], rtol=1e-6)


def test_what_fills_a_batch_is_in_no_mean():
    assert float(mean_of_present(jnp.array([1.0, 3.0, 99.0]), jnp.array([True, True, False]))) == 2.0


def test_smoothing_is_optax_s():
    label, weights = jnp.array([0, 2]), jnp.array([2.0, 1.0, 0.5])
    smoothed = optax.softmax_cross_entropy(LOGITS, optax.smooth_labels(jnp.eye(3)[label], 0.3)) * weights[label]
    np.testing.assert_allclose(cross_entropy(LOGITS, label, weights, 0.3), smoothed, rtol=1e-6)
