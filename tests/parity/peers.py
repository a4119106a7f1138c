"""torchvision's networks as peers: seeded random weights, biases and batch statistics, and what they compute."""

import warnings

import numpy as np
import torch
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
    """A small form of torchvision's 'alexnet' or 'resnet18' with random weights, and the options that make ours so.

    AlexNet is a quarter as wide; of ResNet-18 each stage has one block.
    """
    with torch.device('meta'):
        if name == 'resnet18':
            net = torchvision.models.ResNet(torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=classes)
            options = {'stages': (1, 1, 1, 1)}
        else:
            net, options = torchvision.models.AlexNet(num_classes=classes), {'width': 0.25}
            for place, module in list(net.named_modules()):
                if isinstance(module, torch.nn.Conv2d):
                    sizes = max(3, module.in_channels // 4), module.out_channels // 4, module.kernel_size
                    net.set_submodule(place, torch.nn.Conv2d(*sizes, module.stride, module.padding))
                if isinstance(module, torch.nn.Linear):
                    width = classes if module.out_features == classes else module.out_features // 4
                    net.set_submodule(place, torch.nn.Linear(module.in_features // 4, width))
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
