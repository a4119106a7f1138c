"""Inverted residuals (Sandler et al. 2018, arXiv:1801.04381), of which MobileNets and EfficientNets are made."""

from collections.abc import Callable

import flax.linen as nn

from alljax.models.layers import Act, Image, Map, drop_path


def divisible(channels: int | float) -> int:
    """The nearest multiple of 8, or the next if that is less than nine tenths: the papers' counts of channels."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest


class SqueezeExcitation(nn.Module):
    """Squeeze and excitation (Hu et al. 2017, arXiv:1709.01507): channels weighed by a gate that sees all their means.

    Dense on the vector of means, which on a CPU is faster than the 1×1 convolutions that torchvision has there.
    """

    channels: int  # between the two layers
    act: Act
    gate: Act

    @nn.compact
    def __call__(self, x: Image) -> Image:
        """Weighs [batch, height, width, channels]."""
        y = self.act(nn.Dense(self.channels, name='reduce')(x.mean((1, 2))))
        return x * self.gate(nn.Dense(x.shape[-1], name='expand')(y))[:, None, None]


class InvertedResidual(nn.Module):
    """Many channels inside and few outside, the residual between the few.

    A 1×1 convolution to more channels (if they are more), one for each channel by itself, squeeze and excitation (if
    asked for), and a 1×1 without rectifier, around which the input is added where the shapes are the same.
    """

    make: Callable[..., nn.Module]  # ConvNorm from channels, kernel, act and name
    channels: int
    expanded: int  # channels inside
    kernel: int
    stride: int
    act: Act
    squeeze: Callable[..., nn.Module] | None = None  # SqueezeExcitation from name
    drop_path: float = 0.0

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Map:
        """Maps [batch, height, width, channels in] to [batch, height / stride, width / stride, channels]."""
        y = x
        if self.expanded != x.shape[-1]:
            y = self.make(self.expanded, 1, self.act, name='expand')(y, train)
        y = self.make(
            self.expanded, self.kernel, self.act, stride=self.stride, groups=self.expanded, name='depthwise'
        )(y, train)  # fmt: skip
        y = self.squeeze(name='squeeze')(y) if self.squeeze else y
        out: Map = self.make(self.channels, 1, None, name='project')(y, train)
        if self.stride > 1 or self.channels != x.shape[-1]:
            return out
        return x + drop_path(self.drop_path, train)(out)
