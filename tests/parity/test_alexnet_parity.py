import copy

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from alljax import models

pytest.importorskip('torchvision', reason="torchvision is not installed: pip install -e '.[parity]'")
import torch
import torch_alexnet


@pytest.fixture(scope='module', params=['cpu', 'gpu'], ids=['winograd', 'direct'])
def pair(request):
    """Our network and torchvision's with the same random weights and biases, an image batch and its labels."""
    model = models.create('alexnet', 4, platform=request.param)
    params = model.init(jax.random.key(0))['params']
    keys = iter(jax.random.split(jax.random.key(1), 99))
    params = jax.tree.map(lambda p: p if p.ndim > 1 else 0.1 * jax.random.normal(next(keys), p.shape), params)
    theirs = torch_alexnet.create(4).eval()
    theirs.load_state_dict(torch_alexnet.to_torch(params))
    image = jax.random.normal(next(keys), (4, 227, 227, 3))
    return model, params, theirs, image, jnp.arange(4)


def relative(ours, theirs):
    return np.abs(np.asarray(ours) - np.asarray(theirs)).max() / np.abs(np.asarray(theirs)).max()


@pytest.mark.slow
def test_logits_are_torchvision_s(pair):
    model, params, theirs, image, _ = pair
    with torch.no_grad():
        expected = theirs(torch_alexnet.to_nchw(image))
    assert relative(model.apply({'params': params}, image), expected) < 1e-4


@pytest.mark.slow
def test_gradients_to_parameters_and_input_are_torchvision_s(pair):
    """In float64, because in float32 a rounding error that turns one rectifier's sign shows in single pixels."""
    model, params, theirs, image, label = pair
    with jax.enable_x64(True):
        params, image = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), (params, image[:2]))

        def loss(params, image):
            logits = model.apply({'params': params}, image)
            return optax.softmax_cross_entropy_with_integer_labels(logits, label[:2]).mean()

        ours, ours_input = jax.jit(jax.grad(loss, (0, 1)))(params, image)
    theirs = copy.deepcopy(theirs).double()
    x = torch_alexnet.to_nchw(image).requires_grad_()
    torch.nn.functional.cross_entropy(theirs(x), torch.tensor(np.asarray(label[:2])).long()).backward()
    assert relative(np.transpose(ours_input, (0, 3, 1, 2)), x.grad) < 1e-8
    named = dict(theirs.named_parameters())
    for name, gradient in torch_alexnet.to_torch(ours).items():
        assert relative(gradient, named[name].grad) < 1e-8, name


@pytest.mark.slow
def test_parameter_count_is_torchvision_s(pair):
    _, params, theirs, *_ = pair
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == sum(p.numel() for p in theirs.parameters())
