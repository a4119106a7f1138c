"""ResNet (He et al. 2015, arXiv:1512.03385), ResNeXt (arXiv:1611.05431) and Wide ResNet (arXiv:1605.07146)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
from jax import lax
from jaxtyping import Array, Float

from alljax.models.layers import Act, Convolution, Image, Layer, Map, batch_norm, conv, max_pool, scaled
from alljax.models.network_definition import Input, Network


class Basic(nn.Module):
    """Two 3×3 convolutions around which the input is added."""

    channels: int
    stride: int
    act: Act
    convolution: Convolution

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Map:
        """Maps [batch, height, width, channels in] to [batch, height / stride, width / stride, channels]."""
        make, norm = partial(conv, self.convolution), batch_norm(train)
        y = self.act(norm('bn1')(make(self.channels, 3, 'conv1', stride=self.stride)(x)))
        y = norm('bn2')(make(self.channels, 3, 'conv2')(y))
        return self.act(y + _shortcut(x, y, self.stride, make, norm))


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions around which the input is added; the 3×3 has the stride (ResNet v1.5)."""

    channels: int
    inner: int  # channels of the 3×3
    groups: int
    stride: int
    act: Act
    convolution: Convolution

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Map:
        """Maps [batch, height, width, channels in] to [batch, height / stride, width / stride, channels]."""
        make, norm = partial(conv, self.convolution), batch_norm(train)
        y = self.act(norm('bn1')(make(self.inner, 1, 'conv1')(x)))
        y = self.act(norm('bn2')(make(self.inner, 3, 'conv2', stride=self.stride, groups=self.groups)(y)))
        y = norm('bn3')(make(self.channels, 1, 'conv3')(y))
        return self.act(y + _shortcut(x, y, self.stride, make, norm))


class ResNet(nn.Module):
    """A 7×7 convolution, four stages of blocks layer1_0 to layer4_n, the mean over positions, then `head`."""

    head: Layer
    stages: tuple[int, ...]  # blocks of each stage
    bottleneck: bool = True
    groups: int = 1
    group_width: int = 64  # channels of a group in the first stage
    width: float = 1.0
    act: Act = nn.relu
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes']:
        """Maps normalized RGB to logits; `train` uses batch statistics."""
        x = conv(self.convolution, scaled(64, self.width), 7, 'conv1', stride=2)(x)
        x = max_pool(self.act(batch_norm(train)('bn1')(x)), padding=1)
        for stage, count in enumerate(self.stages):
            for index in range(count):
                block = self._block(stage, 2 if stage and not index else 1, f'layer{stage + 1}_{index}')
                x = block(x, train)
        return self.head(x.mean((1, 2)))

    def _block(self, stage: int, stride: int, name: str) -> nn.Module:
        channels = scaled(64 * 2**stage, self.width)
        shared: dict[str, Any] = {'stride': stride, 'act': self.act, 'convolution': self.convolution, 'name': name}
        if not self.bottleneck:
            return Basic(channels, **shared)
        inner = scaled(self.group_width * 2**stage, self.width) * self.groups
        return Bottleneck(4 * channels, inner, self.groups, **shared)


def _shortcut(x: Image, y: Map, stride: int, make: Callable[..., Layer], norm: Callable[[str], Layer]) -> Map:
    """The input, brought to the output's shape where it is another."""
    if x.shape == y.shape:
        return x
    return norm('downsample_bn')(make(y.shape[-1], 1, 'downsample', stride=stride)(x))


def _network(stages: tuple[int, ...], *, resize: int = 232, **options: Any) -> Network:
    return Network(partial(ResNet, stages=stages, **options), Input(224, resize=resize))


NETWORKS = {
    'resnet18': _network((2, 2, 2, 2), bottleneck=False, resize=256),
    'resnet34': _network((3, 4, 6, 3), bottleneck=False, resize=256),
    'resnet50': _network((3, 4, 6, 3)),
    'resnet101': _network((3, 4, 23, 3)),
    'resnet152': _network((3, 8, 36, 3)),
    'resnext50_32x4d': _network((3, 4, 6, 3), groups=32, group_width=4),
    'resnext101_32x8d': _network((3, 4, 23, 3), groups=32, group_width=8),
    'resnext101_64x4d': _network((3, 4, 23, 3), groups=64, group_width=4),
    'wide_resnet50_2': _network((3, 4, 6, 3), group_width=128),
    'wide_resnet101_2': _network((3, 4, 23, 3), group_width=128),
}
