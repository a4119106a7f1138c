"""torchvision's networks as peers: seeded random weights, biases and batch statistics, and what they compute."""

import warnings

import numpy as np
import torch
import torch_alexnet
import torchvision

from alljax.models.trees import unflatten
from alljax.weights.rules import table
from alljax.weights.rules.rule import match_tensors

OPTIONS = {
    'vit_h_14': {'image_size': 518},  # of its only weights
    'googlenet': {'aux_logits': False, 'init_weights': False},
    'inception_v3': {'aux_logits': False, 'init_weights': False},
}


def build(name):
    """torchvision's network of that name with random weights, in evaluation mode."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return torchvision.models.get_model(name, weights=None, **OPTIONS.get(name, {})).eval()


def shaken(name):
    """`shake` of torchvision's network of that name, whose own random weights are not drawn: it takes seconds."""
    with torch.device('meta'):
        net = build(name)
    return shake(net.to_empty(device='cpu'))


def small(name, classes=1000):
    """A small form of torchvision's network with random weights, and the options that make ours so.

    AlexNet is a quarter as wide; others have fewer layers, of all kinds.
    """
    zoo = torchvision.models
    with torch.device('meta'):
        if name == 'alexnet':
            net, options = torch_alexnet.narrow(zoo.AlexNet(num_classes=classes)), {'width': 0.25}
        elif name == 'resnet18':
            counts = (1, 1, 1, 1)
            net, options = zoo.ResNet(zoo.resnet.BasicBlock, counts, num_classes=classes), {'stages': counts}
        elif name == 'densenet121':
            net, options = zoo.DenseNet(block_config=(2, 2, 2, 2)), {'blocks': (2, 2, 2, 2)}
        elif name == 'convnext_tiny':
            counts, sizes = (1, 1, 2, 1), (96, 192, 384, 768, None)
            settings = [zoo.convnext.CNBlockConfig(*part) for part in zip(sizes, sizes[1:], counts, strict=False)]
            net, options = zoo.ConvNeXt(settings), {'stages': counts}
        elif name == 'vit_b_32':
            net, options = zoo.VisionTransformer(96, 32, 2, 12, 768, 3072), {'blocks': 2, 'size': 96}
    return shake(net.eval().to_empty(device='cpu')), options


def converted(name, net):
    """torch's tensors as our variables, in their own precision."""
    source = {key: leaf.numpy() for key, leaf in net.state_dict().items()}
    found = match_tensors(source, table(name), [])
    return unflatten({place: transform(source[key]) for key, place, transform in found})


def shake(net, seed=0):
    """Gives every bias, scale and running statistic a value of its own, so that none can be mistaken for another."""
    generator = torch.Generator().manual_seed(seed)

    def draw(leaf, spread):
        return spread * torch.randn(leaf.shape, generator=generator)

    with torch.no_grad():
        for name, leaf in net.state_dict().items():
            if name.endswith('running_var'):
                leaf.copy_(draw(leaf, 0.3).exp())
            elif name.endswith('running_mean'):
                leaf.copy_(draw(leaf, 0.1))
            elif leaf.is_floating_point():
                # Kernels keep the size of what goes through them; scales stay near one, biases near zero.
                fan = leaf[0].numel() if leaf.ndim > 1 else 1
                scale = leaf.ndim == 1 and name.endswith('weight')
                leaf.copy_(1 + draw(leaf, 0.1) if scale else draw(leaf, (2 / fan) ** 0.5 if leaf.ndim > 1 else 0.1))
    return net


def outputs(net, image, layers):
    """The logits and what the named inner modules give, channels last."""
    with torch.no_grad():
        logits, inside = forward(net, to_nchw(image), layers)
    return logits.numpy(), inside


def forward(net, x, layers):
    """The same of a tensor, with the logits as one."""
    seen = {}
    modules = dict(net.named_modules())
    hooks = [
        modules[layer].register_forward_hook(
            lambda _, __, value, layer=layer: seen.__setitem__(layer, value.detach().clone())
        )
        for layer in layers
    ]
    logits = net(x)
    for hook in hooks:
        hook.remove()
    return logits, {layer: to_nhwc(seen[layer]) for layer in layers}


def to_nchw(image):
    """NHWC to a tensor of NCHW."""
    return torch.tensor(np.asarray(image)).permute(0, 3, 1, 2).contiguous()


def to_nhwc(value):
    """A tensor of NCHW, or of no map at all, to NHWC."""
    return value.movedim(1, -1).numpy() if value.ndim == 4 else value.numpy()
