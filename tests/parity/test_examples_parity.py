"""Gradients of single examples against torch.func's, on a narrow AlexNet with the paper's head and random biases."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

pytest.importorskip('torchvision', reason="torchvision is not installed: pip install -e '.[parity]'")
import torch
import torch_alexnet

from alljax import gradients, models

pytestmark = pytest.mark.slow

LABELS = np.array([1, 3, 0])


@pytest.fixture(scope='module')
def pair():
    """Our loss and parameters, the images, and torch's gradients of each of them: name → [N, …].

    In double precision: in single a rounding error turns the sign of single rectifiers.
    """
    with jax.enable_x64(True):
        model = models.create('alexnet', 4, width=0.25)
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), torch_alexnet.random_params(model))
        x = np.random.default_rng(1).standard_normal((len(LABELS), 131, 131, 3))

        def loss(params, x, y):
            return optax.softmax_cross_entropy_with_integer_labels(model.apply({'params': params}, x), y)

        theirs = torch_alexnet.with_params(params, 0.0).eval()
        weights = {name: leaf.detach() for name, leaf in theirs.named_parameters()}

        def their_loss(weights, image, label):
            logits = torch.func.functional_call(theirs, weights, (image[None],))
            return torch.nn.functional.cross_entropy(logits, label[None])

        expected = torch.func.vmap(torch.func.grad(their_loss), (None, 0, 0))(
            weights, torch_alexnet.to_nchw(x), torch.tensor(LABELS)
        )
        yield loss, params, x, expected
    jax.clear_caches()


def test_gradients_of_examples_are_those_of_torch(pair):
    loss, params, x, expected = pair
    found = gradients.per_example_gradients(loss, params, x, LABELS)
    for number in range(len(LABELS)):
        ours = torch_alexnet.to_torch(jax.tree.map(lambda leaf, number=number: np.asarray(leaf[number]), found))
        assert ours.keys() == expected.keys()
        for name, gradient in ours.items():
            other = expected[name][number]
            assert (gradient - other).abs().max() < 1e-4 * other.abs().max(), (name, number)


def test_norms_of_gradients_of_examples_are_those_of_torch(pair):
    loss, params, x, expected = pair
    norms = torch.stack([leaf.flatten(1).double().square().sum(1) for leaf in expected.values()]).sum(0).sqrt().numpy()
    assert np.ptp(norms) > 1e-2 * norms.max()
    found = gradients.per_example_gradients(loss, params, x, LABELS, reduce='norm')
    np.testing.assert_allclose(found, norms, rtol=1e-4)
