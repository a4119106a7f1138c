"""EfficientNet (Tan & Le 2019, arXiv:1905.11946) and EfficientNetV2 (Tan & Le 2021, arXiv:2104.00298)."""

from collections.abc import Callable
from functools import partial
from math import ceil
from typing import Any, NamedTuple

import flax.linen as nn
from jax import lax
from jaxtyping import Array, Float

from alljax.models.inverted_residual import InvertedResidual, SqueezeExcitation, divisible
from alljax.models.layers import Act, ConvNorm, Convolution, Image, Layer, Map, Padding, drop_path
from alljax.models.network_definition import Input, Network


class Stage(NamedTuple):
    """Blocks of one size of map."""

    factor: int  # from channels before a block to those inside
    kernel: int
    stride: int  # of the first block
    channels: int
    blocks: int
    fused: bool = False


B0 = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
V2 = {
    's': (
        Stage(1, 3, 1, 24, 2, fused=True),
        Stage(4, 3, 2, 48, 4, fused=True),
        Stage(4, 3, 2, 64, 4, fused=True),
        Stage(4, 3, 2, 128, 6),
        Stage(6, 3, 1, 160, 9),
        Stage(6, 3, 2, 256, 15),
    ),
    'm': (
        Stage(1, 3, 1, 24, 3, fused=True),
        Stage(4, 3, 2, 48, 5, fused=True),
        Stage(4, 3, 2, 80, 5, fused=True),
        Stage(4, 3, 2, 160, 7),
        Stage(6, 3, 1, 176, 14),
        Stage(6, 3, 2, 304, 18),
        Stage(6, 3, 1, 512, 5),
    ),
    'l': (
        Stage(1, 3, 1, 32, 4, fused=True),
        Stage(4, 3, 2, 64, 7, fused=True),
        Stage(4, 3, 2, 96, 7, fused=True),
        Stage(4, 3, 2, 192, 10),
        Stage(6, 3, 1, 224, 19),
        Stage(6, 3, 2, 384, 25),
        Stage(6, 3, 1, 640, 7),
    ),
}


class Fused(nn.Module):
    """An inverted residual whose first two convolutions are one, and all of it where no channels are added inside."""

    make: Callable[..., nn.Module]  # ConvNorm from channels, kernel, act and name
    channels: int
    expanded: int  # channels inside
    kernel: int
    stride: int
    act: Act
    drop_path: float

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Map:
        """Maps [batch, height, width, channels in] to [batch, height / stride, width / stride, channels]."""
        expands = self.expanded != x.shape[-1]
        channels = self.expanded if expands else self.channels
        y = self.make(channels, self.kernel, self.act, stride=self.stride, name='fused')(x, train)
        out: Map = self.make(self.channels, 1, None, name='project')(y, train) if expands else y
        if self.stride > 1 or self.channels != x.shape[-1]:
            return out
        return x + drop_path(self.drop_path, train)(out)


class EfficientNet(nn.Module):
    """A 3×3 convolution, stage1_0 to stagen_m, a 1×1 one, the mean over positions, dropout, then `head`."""

    head: Layer
    stages: tuple[Stage, ...]
    stem: int  # channels of the first convolution
    last: int  # and of the last
    squeezes: bool = True
    padding: Padding = None  # half the kernel unless told, or 'SAME'
    epsilon: float = 1e-5
    width: float = 1.0  # factor on channels, as multiples of 8
    dropout: float = 0.2  # probability of a zero, before `head`
    drop_path: float = 0.2  # probability of a left out branch, rising to it from the first block on
    act: Act = nn.silu
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes']:
        """Maps normalized RGB to logits; `train` uses batch statistics, dropout and stochastic depth."""
        make = partial(ConvNorm, convolution=self.convolution, padding=self.padding, epsilon=self.epsilon)
        x = make(divisible(self.stem * self.width), 3, self.act, stride=2, name='stem')(x, train)
        places = [(stage, index) for stage in range(len(self.stages)) for index in range(self.stages[stage].blocks)]
        for place, (stage, index) in enumerate(places):
            x = self._block(make, x.shape[-1], stage, index, self.drop_path * place / len(places))(x, train)
        x = make(divisible(self.last * self.width), 1, self.act, name='last')(x, train)
        return self.head(nn.Dropout(self.dropout, deterministic=not train)(x.mean((1, 2))))

    def _block(
        self, make: Callable[..., nn.Module], before: int, stage: int, index: int, drop_path: float
    ) -> nn.Module:
        factor, kernel, stride, channels, _, fused = self.stages[stage]
        sizes = divisible(channels * self.width), divisible(before * factor), kernel, 1 if index else stride
        name = f'stage{stage + 1}_{index}'
        if fused:
            return Fused(make, *sizes, self.act, drop_path, name=name)
        squeeze = partial(SqueezeExcitation, max(1, before // 4), self.act, nn.sigmoid) if self.squeezes else None
        return InvertedResidual(make, *sizes, self.act, squeeze, drop_path, name=name)


def scaled_stages(width: float, depth: float, fixed_ends: bool = False) -> tuple[Stage, ...]:
    """B0's stages with the paper's factors on channels and on blocks, those of first and last stage `fixed` or not."""
    fixed = (B0[0], B0[-1]) if fixed_ends else ()
    return tuple(
        stage._replace(
            channels=divisible(stage.channels * width),
            blocks=stage.blocks if stage in fixed else ceil(stage.blocks * depth),
        )
        for stage in B0
    )


def _first(
    width: float, depth: float, size: int, resize: int, interpolation: str = 'bicubic', **options: Any
) -> Network:
    stages = scaled_stages(width, depth)
    module = partial(EfficientNet, stages=stages, stem=divisible(32 * width), last=4 * stages[-1].channels, **options)
    return Network(module, Input(size, resize=resize, interpolation=interpolation))


def _second(size: str, form: Input, dropout: float) -> Network:
    stages = V2[size]
    module = partial(
        EfficientNet, stages=stages, stem=stages[0].channels, last=1280, epsilon=0.001, dropout=dropout
    )  # fmt: skip
    return Network(module, form)


HALF = (0.5, 0.5, 0.5)
NETWORKS = {
    'efficientnet_b0': _first(1.0, 1.0, 224, 256),
    'efficientnet_b1': _first(1.0, 1.1, 240, 255, 'bilinear'),
    'efficientnet_b2': _first(1.1, 1.2, 288, 288, dropout=0.3),
    'efficientnet_b3': _first(1.2, 1.4, 300, 320, dropout=0.3),
    'efficientnet_b4': _first(1.4, 1.8, 380, 384, dropout=0.4),
    'efficientnet_b5': _first(1.6, 2.2, 456, 456, dropout=0.4, epsilon=0.001),
    'efficientnet_b6': _first(1.8, 2.6, 528, 528, dropout=0.5, epsilon=0.001),
    'efficientnet_b7': _first(2.0, 3.1, 600, 600, dropout=0.5, epsilon=0.001),
    'efficientnet_v2_s': _second('s', Input(384, resize=384), 0.2),
    'efficientnet_v2_m': _second('m', Input(480, resize=480), 0.3),
    'efficientnet_v2_l': _second('l', Input(480, HALF, HALF, 480, 'bicubic'), 0.4),
}
