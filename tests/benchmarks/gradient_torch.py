"""The networks of gradient_rows.py in torch, in a process without JAX, whose memory would count with theirs."""

from typing import NamedTuple

import torch
import torchvision
from gradient_rows import CLASSES, examples
from torch.nn import Conv2d, Flatten, Linear, ReLU, Sequential


class Theirs(NamedTuple):
    """A network, and examples as torch likes them."""

    net: torch.nn.Module
    x: torch.Tensor
    y: torch.Tensor


def theirs(name: str, count: int, path: str) -> Theirs:
    """The network with the parameters of a file, and the examples of ours."""
    net = _network(name)
    net.load_state_dict(torch.load(path))
    for module in net.modules():
        if isinstance(module, ReLU):
            module.inplace = False
    x, y = map(torch.tensor, examples(name, count))
    return Theirs(net.eval(), x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x, y)


def _network(name: str) -> torch.nn.Module:
    if name == 'head':
        return Sequential(Linear(4096, 1024), ReLU(), Linear(1024, CLASSES))
    if name == 'small':
        pairs = ((3, 32), (32, 64), (64, 64))
        convolutions = [part for pair in pairs for part in (Conv2d(*pair, 3, 2, 1), ReLU())]
        return Sequential(*convolutions, Flatten(), Linear(1024, 128), ReLU(), Linear(128, CLASSES))
    net = torchvision.models.alexnet()
    net.classifier[6] = Sequential(Linear(4096, 1024), ReLU(), Linear(1024, CLASSES))
    return net
