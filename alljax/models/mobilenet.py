"""MobileNet v2 (Sandler et al. 2018, arXiv:1801.04381) and v3 (Howard et al. 2019, arXiv:1905.02244)."""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
from jax import lax
from jaxtyping import Array, Float

from alljax.models.inverted_residual import InvertedResidual, SqueezeExcitation, divisible
from alljax.models.layers import Act, ConvNorm, Convolution, Layer
from alljax.models.network_definition import Input, Network

# v2: factor to the channels inside, channels, blocks, and stride of the first of them.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class Block(NamedTuple):
    """A block of v3."""

    kernel: int
    expanded: int  # channels inside
    channels: int
    squeezes: bool
    act: Act
    stride: int


LARGE = (
    Block(3, 16, 16, False, nn.relu, 1),
    Block(3, 64, 24, False, nn.relu, 2),
    Block(3, 72, 24, False, nn.relu, 1),
    Block(5, 72, 40, True, nn.relu, 2),
    Block(5, 120, 40, True, nn.relu, 1),
    Block(5, 120, 40, True, nn.relu, 1),
    Block(3, 240, 80, False, nn.hard_swish, 2),
    Block(3, 200, 80, False, nn.hard_swish, 1),
    Block(3, 184, 80, False, nn.hard_swish, 1),
    Block(3, 184, 80, False, nn.hard_swish, 1),
    Block(3, 480, 112, True, nn.hard_swish, 1),
    Block(3, 672, 112, True, nn.hard_swish, 1),
    Block(5, 672, 160, True, nn.hard_swish, 2),
    Block(5, 960, 160, True, nn.hard_swish, 1),
    Block(5, 960, 160, True, nn.hard_swish, 1),
)
SMALL = (
    Block(3, 16, 16, True, nn.relu, 2),
    Block(3, 72, 24, False, nn.relu, 2),
    Block(3, 88, 24, False, nn.relu, 1),
    Block(5, 96, 40, True, nn.hard_swish, 2),
    Block(5, 240, 40, True, nn.hard_swish, 1),
    Block(5, 240, 40, True, nn.hard_swish, 1),
    Block(5, 120, 48, True, nn.hard_swish, 1),
    Block(5, 144, 48, True, nn.hard_swish, 1),
    Block(5, 288, 96, True, nn.hard_swish, 2),
    Block(5, 576, 96, True, nn.hard_swish, 1),
    Block(5, 576, 96, True, nn.hard_swish, 1),
)


class MobileNetV2(nn.Module):
    """A 3×3 convolution, block1 to block17, a 1×1 one, the mean over positions, dropout, then `head`."""

    head: Layer
    width: float = 1.0  # factor on channels, as multiples of 8; no less than 1280 are left to `head`
    dropout: float = 0.2  # probability of a zero, before `head`
    act: Act = nn.relu6
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes']:
        """Maps normalized RGB to logits; `train` uses batch statistics and dropout."""
        make = partial(ConvNorm, convolution=self.convolution)
        x = make(divisible(32 * self.width), 3, self.act, stride=2, name='stem')(x, train)
        place = 0
        for factor, channels, count, stride in STAGES:
            for index in range(count):
                place += 1
                x = InvertedResidual(
                    make, divisible(channels * self.width), factor * x.shape[-1], 3, 1 if index else stride, self.act,
                    name=f'block{place}',
                )(x, train)  # fmt: skip
        x = make(divisible(1280 * max(1.0, self.width)), 1, self.act, name='last')(x, train)
        return self.head(nn.Dropout(self.dropout, deterministic=not train)(x.mean((1, 2))))


class MobileNetV3(nn.Module):
    """A 3×3 convolution, block1 to blockn, a 1×1 one, the mean over positions, fc, dropout, then `head`."""

    head: Layer
    blocks: tuple[Block, ...]
    features: int  # that fc leaves to `head`
    width: float = 1.0  # factor on channels, as multiples of 8
    dropout: float = 0.2  # probability of a zero, after fc
    act: Act | None = None  # in the place of all published ones: ReLU in early blocks, hard swish in later ones
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes']:
        """Maps normalized RGB to logits; `train` uses batch statistics and dropout."""
        make = partial(ConvNorm, convolution=self.convolution, epsilon=0.001)
        act = self.act or nn.hard_swish
        x = make(divisible(16 * self.width), 3, act, stride=2, name='stem')(x, train)
        for place, block in enumerate(self.blocks, 1):
            channels, expanded = divisible(block.channels * self.width), divisible(block.expanded * self.width)
            squeeze = partial(SqueezeExcitation, divisible(expanded // 4), self.act or nn.relu, nn.hard_sigmoid)
            x = InvertedResidual(
                make, channels, expanded, block.kernel, block.stride, self.act or block.act,
                squeeze if block.squeezes else None, name=f'block{place}',
            )(x, train)  # fmt: skip
        x = make(6 * x.shape[-1], 1, act, name='last')(x, train)
        x = act(nn.Dense(divisible(self.features * self.width), name='fc')(x.mean((1, 2))))
        return self.head(nn.Dropout(self.dropout, deterministic=not train)(x))


NETWORKS = {
    'mobilenet_v2': Network(MobileNetV2, Input(224, resize=232)),
    'mobilenet_v3_large': Network(partial(MobileNetV3, blocks=LARGE, features=1280), Input(224, resize=232)),
    'mobilenet_v3_small': Network(partial(MobileNetV3, blocks=SMALL, features=1024), Input(224)),
}
