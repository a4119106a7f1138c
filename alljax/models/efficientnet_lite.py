"""EfficientNet-Lite (Liu 2020, blog.tensorflow.org): EfficientNet without squeeze and excitation, with ReLU6."""

from functools import partial

import flax.linen as nn

from alljax.models.efficientnet import EfficientNet, Stage, scaled_stages
from alljax.models.network_definition import Input, Network

# Factors on channels and on blocks, pixels a side, and dropout.
SIZES = {
    'efficientnet_lite0': (1.0, 1.0, 224, 0.2),
    'efficientnet_lite1': (1.0, 1.1, 240, 0.2),
    'efficientnet_lite2': (1.1, 1.2, 260, 0.3),
    'efficientnet_lite3': (1.2, 1.4, 280, 0.3),
    'efficientnet_lite4': (1.4, 1.8, 300, 0.3),
}


def stages(name: str) -> tuple[Stage, ...]:
    """The stages of one size."""
    width, depth, _, _ = SIZES[name]
    return scaled_stages(width, depth, fixed_ends=True)


def _network(name: str) -> Network:
    _, _, size, dropout = SIZES[name]
    module = partial(
        EfficientNet,
        stages=stages(name),
        stem=32,  # in all sizes, as are the last channels
        last=1280,
        squeezes=False,
        padding='SAME',
        epsilon=0.001,
        dropout=dropout,
        act=nn.relu6,
    )
    return Network(module, Input(size, resize=size + 32, interpolation='bicubic'))


NETWORKS = {name: _network(name) for name in SIZES}
