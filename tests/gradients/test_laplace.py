"""Posteriors, their evidence and predictions against formulas of dense matrices, in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import small_network as small
from scipy.special import softmax

from alljax import gradients

KEY = jax.random.key(9)
HEAD = 'params/head/.*'


def approximation(structure, **options):
    case = small.case()
    return gradients.laplace_approximation(
        small.NET, case.params, case.x, case.y, structure=structure, batch_size=4, **options
    )


def predict(posterior, **options):
    case = small.case()
    return gradients.laplace_predict(small.NET, case.params, case.x, posterior, batch_size=4, **options)


def matrix(structure, where, corrected=False):
    """The curvature of the mean loss, and the places in it of the parameters that vary."""
    whole = small.dense() if structure == 'full' else small.kronecker(corrected=corrected)
    index = np.concatenate([places.ravel() for name, places in small.places().items() if name.startswith(where)])
    return whole[np.ix_(index, index)], index


def evidence(structure, where, precision):
    """log p(labels) of the trained parameters, and the volume that is left of the prior's."""
    curvature, index = matrix(structure, where)
    case = small.case()
    chance = softmax(small.passes().logits, 1)
    likelihood = np.log(chance[np.arange(6), np.asarray(case.y)]).sum()
    square = np.sum(small.flat(case.params)[index] ** 2)
    _, volume = np.linalg.slogdet(6 * curvature + precision * np.eye(len(index)))
    return likelihood - 0.5 * (precision * square - len(index) * np.log(precision) + volume)


@pytest.mark.parametrize(
    ('structure', 'where'),
    [
        ('kronecker', 'head'),
        pytest.param('kronecker', '', marks=pytest.mark.slow),
        pytest.param('full', 'head', marks=pytest.mark.slow),
        pytest.param('full', '', marks=pytest.mark.slow),
    ],
)
def test_predictions_have_the_covariance_of_the_dense_posterior(structure, where):
    with jax.enable_x64(True):
        posterior = approximation(structure, prior_precision=0.7, where=f'params/{where}.*')
        found = predict(posterior)
    curvature, index = matrix(structure, where)
    covariance = np.linalg.inv(6 * curvature + 0.7 * np.eye(len(index)))
    jacobian = small.passes().jacobian[:, :, index]
    expected = jacobian @ covariance @ jacobian.swapaxes(1, 2)
    small.assert_near(found.covariance, expected)
    variance = np.diagonal(expected, axis1=1, axis2=2)
    np.testing.assert_allclose(
        found.probability, softmax(small.passes().logits / np.sqrt(1 + np.pi / 8 * variance), 1), rtol=1e-7
    )
    np.testing.assert_allclose(posterior.evidence, evidence(structure, where, 0.7), rtol=1e-7)


def test_the_prior_s_precision_is_that_of_largest_evidence():
    with jax.enable_x64(True):
        posterior = approximation('kronecker', where=HEAD)
    chosen = float(posterior.precision)
    best = evidence('kronecker', 'head', chosen)
    np.testing.assert_allclose(posterior.evidence, best, rtol=1e-7)
    for factor in (0.5, 0.99, 1.01, 2):
        assert evidence('kronecker', 'head', chosen * factor) < best


@pytest.mark.slow
def test_sampled_predictions_are_the_mean_over_the_posterior_s_logits():
    with jax.enable_x64(True):
        posterior = approximation('kronecker', where=HEAD, prior_precision=0.7)
        found = predict(posterior, rule='sampled', key=KEY, samples=4000)
    rng = np.random.default_rng(0)
    for logits, covariance, chance in zip(found.logits, found.covariance, found.probability, strict=True):
        drawn = softmax(rng.multivariate_normal(logits, covariance, 20000), 1).mean(0)
        np.testing.assert_allclose(chance, drawn, atol=0.02)


@pytest.mark.slow
def test_corrected_factors_and_functions_without_layers_have_posteriors_too():
    case = small.case()
    with jax.enable_x64(True):
        corrected = predict(approximation('kronecker', corrected=True, prior_precision=0.7))
        plain = gradients.laplace_approximation(
            lambda params, x: x.reshape(len(x), -1) @ params, jnp.ones((32, 3)), case.x, case.y, structure='full'
        )
    curvature, index = matrix('kronecker', '', corrected=True)
    covariance = np.linalg.inv(6 * curvature + 0.7 * np.eye(len(index)))
    jacobian = small.passes().jacobian
    small.assert_near(corrected.covariance, jacobian @ covariance @ jacobian.swapaxes(1, 2))
    assert np.isfinite(plain.evidence)
    assert plain.curvature.eigenvalues.shape == (96,)


def test_what_has_no_posterior_is_told():
    case = small.case()
    x, y = jnp.ones((2, 3)), jnp.array([0, 1])
    with pytest.raises(ValueError, match=r"laplace_approximation: params: no flax.linen.Dense .* structure='full'"):
        gradients.laplace_approximation(lambda params, x: x @ params['w'], {'w': jnp.ones((3, 2))}, x, y)
    wide = {'w': jnp.ones((3, 10_000))}
    with pytest.raises(ValueError, match=r"laplace_approximation: structure is 'full' and 30,000 parameters vary"):
        gradients.laplace_approximation(lambda params, x: x @ params['w'], wide, x, y, structure='full')
    with jax.enable_x64(True):
        with pytest.raises(ValueError, match='laplace_approximation: prior_precision is 0; expected above 0'):
            approximation('kronecker', prior_precision=0.0)
        posterior = approximation('kronecker', where=HEAD)
        with pytest.raises(ValueError, match='laplace_predict: key is None; samples are drawn'):
            predict(posterior, rule='sampled')
        with pytest.raises(ValueError, match='laplace_predict: posterior has params/head/kernel, which params has not'):
            gradients.laplace_predict(lambda params, x: x.reshape(len(x), -1)[:, :3] * params['w'], {'w': jnp.ones(3)},
                                      case.x, posterior)  # fmt: skip
