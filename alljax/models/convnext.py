"""ConvNeXt (Liu et al. 2022, arXiv:2201.03545)."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
from jax import lax
from jaxtyping import Array, Float

from alljax.models.layers import Act, Convolution, Image, Layer, Map, conv, drop_path, scaled
from alljax.models.network_definition import Input, Network

gelu = partial(nn.gelu, approximate=False)


class Patches(nn.Module):
    """Squares that do not overlap, each to one position; normalized before or after."""

    channels: int
    side: int  # pixels of a square
    before: bool
    convolution: Convolution

    @nn.compact
    def __call__(self, x: Image) -> Map:
        """Maps [batch, height, width, channels in] to [batch, height / side, width / side, channels]."""
        x = layer_norm('norm')(x) if self.before else x
        x = conv(self.convolution, self.channels, self.side, 'conv', stride=self.side, padding=0, bias=True)(x)
        return x if self.before else layer_norm('norm')(x)


class Block(nn.Module):
    """A 7×7 convolution of each channel by itself, and two dense layers at each position; the input is added."""

    act: Act
    convolution: Convolution
    drop_path: float

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Image:
        """Maps [batch, height, width, channels] to the same shape."""
        channels = x.shape[-1]
        y = conv(self.convolution, channels, 7, 'depthwise', groups=channels, bias=True)(x)
        y = self.act(nn.Dense(4 * channels, name='expand')(layer_norm('norm')(y)))
        y = nn.Dense(channels, name='project')(y)
        y = y * self.param('layer_scale', nn.initializers.constant(1e-6), (channels,))
        return x + drop_path(self.drop_path, train)(y)


class ConvNeXt(nn.Module):
    """4×4 squares, four stages of blocks stage1_0 to stage4_n, the mean over positions, a norm, then `head`."""

    head: Layer
    stages: tuple[int, ...]  # blocks of each stage
    channels: int = 96  # of the first stage, doubled from each to the next
    width: float = 1.0
    block: Callable[..., nn.Module] = Block
    drop_path: float = 0.1  # probability of a left out branch in the last block, rising to it from 0 in the first
    act: Act = gelu
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes']:
        """Maps normalized RGB to logits; `train` uses stochastic depth, which then needs rngs={'dropout': key}."""
        channels = scaled(self.channels, self.width)
        x = Patches(channels, 4, False, self.convolution, name='stem')(x)
        place, last = 0, sum(self.stages) - 1
        for stage, count in enumerate(self.stages, 1):
            if stage > 1:
                channels *= 2
                x = Patches(channels, 2, True, self.convolution, name=f'downsample{stage}')(x)
            for index in range(count):
                rate = self.drop_path * place / last
                x = self.block(self.act, self.convolution, rate, name=f'stage{stage}_{index}')(x, train)
                place += 1
        return self.head(layer_norm('norm')(x.mean((1, 2))))


def layer_norm(name: str, epsilon: float = 1e-6) -> nn.LayerNorm:
    """A layer normalization; its variance is that of torch, which is exact where a mean is large."""
    return nn.LayerNorm(epsilon=epsilon, use_fast_variance=False, name=name)


NETWORKS = {
    'convnext_tiny': Network(partial(ConvNeXt, stages=(3, 3, 9, 3)), Input(224, resize=236)),
    'convnext_small': Network(partial(ConvNeXt, stages=(3, 3, 27, 3), drop_path=0.4), Input(224, resize=230)),
    'convnext_base': Network(
        partial(ConvNeXt, stages=(3, 3, 27, 3), channels=128, drop_path=0.5), Input(224, resize=232)
    ),
    'convnext_large': Network(
        partial(ConvNeXt, stages=(3, 3, 27, 3), channels=192, drop_path=0.5), Input(224, resize=232)
    ),
}
