"""What has to be equal between a network of ours and its peer in torch."""

from importlib.metadata import version

import jax
import numpy as np
import peers
import torch

from alljax import models
from alljax.gradients.intermediates import with_layers
from alljax.models.trees import flatten
from alljax.weights import convert as conversion
from alljax.weights.rules import table
from alljax.weights.rules.rule import match_tensors

OPTIMIZED = {'xla_backend_optimization_level': 3, 'xla_llvm_disable_expensive_passes': False}  # as XLA is by default
if tuple(map(int, version('jaxlib').split('.')[:2])) < (0, 11):  # later ones have no other emitters
    OPTIMIZED['xla_cpu_use_fusion_emitters'] = True


def relative(ours, theirs):
    """The largest difference as a part of the largest value."""
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def sizes_and_rules(name, net):
    """Equally many parameters, and a rule table that is a bijection; `net` may be on the meta device."""
    theirs = {key: tuple(leaf.shape) for key, leaf in net.state_dict().items()}
    ours = conversion.shapes(name, 1000)
    count = sum(int(np.prod(shape)) for place, shape in ours.items() if place.startswith('params/'))
    assert count == sum(leaf.numel() for leaf in net.parameters())
    problems = []
    found = match_tensors(theirs, table(name), problems)
    assert not problems
    assert sorted(place for _, place, _ in found) == sorted(ours)
    counts = [key for key in theirs if key.endswith('num_batches_tracked')]
    assert sorted([key for key, _, _ in found] + counts) == sorted(theirs)
    for key, place, transform in found:  # shapes through the transform, without the memory of the values
        stand_in = np.lib.stride_tricks.as_strided(np.zeros(1, np.int8), theirs[key], (0,) * len(theirs[key]))
        assert transform(stand_in).shape == ours[place], place


def logits_and_layers(name, variables, net, image, layers):
    """Logits and inner layers: in float32 as on a user's processor, in float64 with XLA's own convolutions."""
    for dtype, tolerance, platform, compiler in (
        (np.float32, 1e-4, 'cpu', OPTIMIZED), (np.float64, 1e-9, 'gpu', None)
    ):  # fmt: skip
        net = net.to(getattr(torch, np.dtype(dtype).name))
        expected, inside = peers.outputs(net, image.astype(dtype), layers.values())
        with jax.enable_x64(dtype == np.float64):
            model = models.create(name, 1000, head=0, platform=platform)
            tree = jax.tree.map(lambda leaf, dtype=dtype: leaf.astype(dtype), variables)

            run = jax.jit(with_layers(model.apply, layers), compiler_options=compiler)
            logits, ours = run(tree, image.astype(dtype))
        assert relative(logits, expected) < tolerance
        for layer, value in ours.items():
            assert relative(value, inside[layers[layer]]) < tolerance, layer


def gradients(name, variables, net, image):
    """Gradient of the loss to the input and to every parameter; in float64, with the convolutions of a processor.

    In float32 a rounding error turns the sign of single rectifiers.
    """
    label = np.arange(len(image)) * 7
    with jax.enable_x64(True):
        model = models.create(name, 1000, head=0, platform='cpu')
        tree = jax.tree.map(lambda leaf: leaf.astype(np.float64), variables)

        def loss(params, image):
            logits = model.apply({**tree, 'params': params}, image)
            return -jax.nn.log_softmax(logits)[np.arange(len(label)), label].mean()

        params, to_image = jax.jit(jax.grad(loss, (0, 1)))(tree['params'], image)
    net = net.double()
    net.zero_grad()
    x = peers.to_nchw(image).requires_grad_()
    torch.nn.functional.cross_entropy(net(x), torch.tensor(label)).backward()
    assert relative(to_image, peers.to_nhwc(x.grad)) < 1e-6
    theirs = {key: leaf.grad.numpy() for key, leaf in net.named_parameters()}
    ours = flatten({'params': params})
    for key, place, transform in match_tensors(theirs, table(name), []):
        assert relative(ours[place], transform(theirs[key])) < 1e-6, place
