"""Laplace's approximation against laplace-torch, of a small network without biases, which it keeps apart in K-FAC."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from alljax import gradients

pytest.importorskip('laplace', reason="laplace-torch is not installed: pip install -e '.[parity]'")
import laplace
import torch

pytestmark = pytest.mark.slow


class Net(nn.Module):
    """Two dense layers."""

    @nn.compact
    def __call__(self, x):
        x = nn.tanh(nn.Dense(6, use_bias=False, name='hidden')(x))
        return nn.Dense(3, use_bias=False, name='head')(x)


@pytest.fixture(scope='module')
def pair():
    """Both networks in double precision, twenty examples and their classes."""
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    net = torch.nn.Sequential(torch.nn.Linear(4, 6, bias=False), torch.nn.Tanh(), torch.nn.Linear(6, 3, bias=False))
    x, y = torch.randn(20, 4), torch.arange(20) % 3
    with jax.enable_x64(True):
        hidden, head = (jnp.asarray(leaf.detach().numpy().T) for leaf in net.parameters())
        params = {'params': {'hidden': {'kernel': hidden}, 'head': {'kernel': head}}}
        yield SimpleNamespace(net=net, x=x, y=y, ours=(Net(), params, jnp.asarray(x.numpy())))
    torch.set_default_dtype(before)


def theirs(pair, subset, structure, precision):
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(pair.x, pair.y), batch_size=8)
    found = laplace.Laplace(
        pair.net, 'classification', subset_of_weights=subset, hessian_structure=structure, prior_precision=precision
    )
    found.fit(data)
    return found


@pytest.mark.parametrize(
    ('subset', 'structure'), [('all', 'full'), ('all', 'kron'), ('last_layer', 'full'), ('last_layer', 'kron')]
)
def test_posterior_evidence_and_predictions_are_those_of_laplace_torch(pair, subset, structure):
    known = theirs(pair, subset, structure, 0.7)
    where = 'params/head/.*' if subset == 'last_layer' else None
    ours = {'kron': 'kronecker', 'full': 'full'}[structure]
    posterior = gradients.laplace_approximation(
        *pair.ours, jnp.asarray(pair.y.numpy()), structure=ours, prior_precision=0.7, where=where, batch_size=8
    )
    found = gradients.laplace_predict(*pair.ours, posterior)
    logits, covariance = known._glm_predictive_distribution(pair.x)
    np.testing.assert_allclose(found.logits, logits.detach().numpy(), rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(found.covariance, covariance.detach().numpy(), rtol=1e-5, atol=1e-8)
    chance = known(pair.x, pred_type='glm', link_approx='probit').detach().numpy()
    np.testing.assert_allclose(found.probability, chance, rtol=1e-5)
    np.testing.assert_allclose(posterior.evidence, known.log_marginal_likelihood().item(), rtol=1e-6)
