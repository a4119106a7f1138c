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

# As XLA is by default. Unoptimized, the earlier emitters give a wrong gradient of vgg11_bn's first block (jaxlib 0.10).
EMITTERS = {'xla_cpu_use_fusion_emitters': True} if tuple(map(int, version('jaxlib').split('.')[:2])) < (0, 11) else {}
OPTIMIZED = EMITTERS | {'xla_backend_optimization_level': 3, 'xla_llvm_disable_expensive_passes': False}


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


def logits_and_layers(name, variables, net, image, layers, dtype=np.float32, platform='cpu', optimized=True):
    """Logits and inner layers: in float32 as on a user's processor, in float64 with little of XLA's optimization.

    `platform` 'gpu' has XLA's own convolutions. Gives the logits.
    """
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    compiler = OPTIMIZED if optimized and dtype == np.float32 else None
    net = net.to(getattr(torch, np.dtype(dtype).name))
    expected, inside = peers.outputs(net, image.astype(dtype), layers.values())
    with jax.enable_x64(dtype == np.float64):
        model = models.create(name, 1000, head=0, platform=platform)
        tree = jax.tree.map(lambda leaf: leaf.astype(dtype), variables)
        run = jax.jit(with_layers(model.apply, layers), compiler_options=compiler)
        logits, ours = run(tree, image.astype(dtype))
    assert relative(logits, expected) < tolerance
    layers_agree(ours, inside, layers, tolerance)
    return np.asarray(logits)


def layers_agree(ours, inside, layers, tolerance):
    """Inner layers are equal up to a part of their largest value."""
    assert ours.keys() == layers.keys()
    for layer, value in ours.items():
        assert relative(value, inside[layers[layer]]) < tolerance, layer


def values_and_gradients(name, variables, net, image, layers, platform, **options):
    """Logits, inner layers and the gradients of the loss to the input and to every parameter; one program, in float64.

    `options` are those of our network. In float32 a rounding error turns the sign of single rectifiers.
    """
    label = np.arange(len(image)) * 7
    with jax.enable_x64(True):
        model = models.create(name, 1000, head=0, platform=platform, **options)
        tree = jax.tree.map(lambda leaf: leaf.astype(np.float64), variables)

        def loss(params, image):
            logits, inside = with_layers(model.apply, layers)({**tree, 'params': params}, image)
            return -jax.nn.log_softmax(logits)[np.arange(len(label)), label].mean(), (logits, inside)

        gradients = jax.jit(jax.grad(loss, (0, 1), has_aux=True), compiler_options=EMITTERS)
        (params, to_image), (logits, ours) = gradients(tree['params'], image)
    net = net.double()
    net.zero_grad()
    x = peers.to_nchw(image).requires_grad_()
    expected, inside = peers.forward(net, x, layers.values())
    torch.nn.functional.cross_entropy(expected, torch.tensor(label)).backward()
    assert relative(logits, expected.detach()) < 1e-9
    layers_agree(ours, inside, layers, 1e-9)
    assert relative(to_image, peers.to_nhwc(x.grad)) < 1e-6
    theirs = {key: leaf.grad.numpy() for key, leaf in net.named_parameters()}
    ours = flatten({'params': params})
    for key, place, transform in match_tensors(theirs, table(name), []):
        assert relative(ours[place], transform(theirs[key])) < 1e-6, place
    net.zero_grad()
