from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import pytest

from alljax import models

pytest.importorskip('torchvision', reason="torchvision is not installed: pip install -e '.[parity]'")
import checks
import torch
import torch_alexnet


class Peer(NamedTuple):
    """Random weights of ours, an image batch with its labels, and what torchvision's network gives for them."""

    params: dict[str, Any]
    image: np.ndarray
    label: np.ndarray
    count: int  # of its parameters
    logits: torch.Tensor
    to_input: torch.Tensor  # the gradient in float64; in float32 a rounding error that turns one rectifier's sign shows
    to_params: dict[str, torch.Tensor]  # in single pixels


@pytest.fixture(scope='module')
def peer():
    params = torch_alexnet.random_params(models.create('alexnet', 4))
    theirs = torch_alexnet.with_params(params).eval()
    image, label = np.random.default_rng(1).standard_normal((2, 227, 227, 3), np.float32), np.arange(2)
    with torch.no_grad():
        logits = theirs(torch_alexnet.to_nchw(image))
    theirs = theirs.double()
    x = torch_alexnet.to_nchw(image.astype(np.float64)).requires_grad_()
    torch.nn.functional.cross_entropy(theirs(x), torch.tensor(label)).backward()
    named = dict(theirs.named_parameters())
    count = sum(leaf.numel() for leaf in named.values())
    return Peer(params, image, label, count, logits, x.grad, {name: leaf.grad for name, leaf in named.items()})


@pytest.fixture(scope='module', params=['cpu', 'gpu'], ids=['winograd', 'direct'])
def model(request):
    return models.create('alexnet', 4, platform=request.param)


def relative(ours, theirs):
    return np.abs(np.asarray(ours) - np.asarray(theirs)).max() / np.abs(np.asarray(theirs)).max()


@pytest.mark.slow
def test_logits_are_torchvision_s(model, peer):
    logits = jax.jit(model.apply, compiler_options=checks.OPTIMIZED)({'params': peer.params}, peer.image)
    assert relative(logits, peer.logits) < 1e-4


@pytest.mark.slow
def test_gradients_to_parameters_and_input_are_torchvision_s(model, peer):
    with jax.enable_x64(True):
        params, image = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (peer.params, peer.image))

        def loss(params, image):
            logits = model.apply({'params': params}, image)
            return optax.softmax_cross_entropy_with_integer_labels(logits, peer.label).mean()

        ours, ours_input = jax.jit(jax.grad(loss, (0, 1)))(params, image)
    assert relative(np.transpose(ours_input, (0, 3, 1, 2)), peer.to_input) < 1e-8
    for name, gradient in torch_alexnet.to_torch(ours).items():
        assert relative(gradient, peer.to_params[name]) < 1e-8, name


@pytest.mark.slow
def test_parameter_count_is_torchvision_s(peer):
    assert sum(leaf.size for leaf in jax.tree.leaves(peer.params)) == peer.count
