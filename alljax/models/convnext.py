"""ConvNeXt (Liu et al. 2022, arXiv:2201.03545) and ConvNeXt V2 (Woo et al. 2023, arXiv:2301.00808).

In V2 a global response normalization between the dense layers of a block, by which channels compete in each image,
takes the place of the factor after them.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from alljax.models.layers import Act, Convolution, Image, Layer, Map, conv, dense, drop_path, drop_path_rates, scaled
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


class ResponseNorm(nn.Module):
    """Each channel times its norm over all positions, as a part of the mean of the norms of all channels."""

    @nn.compact
    def __call__(self, x: Image) -> Image:
        """Maps [batch, height, width, channels] to the same shape; the input is added."""
        scale, bias = (self.param(name, nn.initializers.zeros, (x.shape[-1],)) for name in ('scale', 'bias'))
        squares = jnp.square(x).sum((1, 2), keepdims=True)
        # The gradient of a root is infinite at 0, where torch takes 0: a channel that is silent everywhere stays so.
        silent = squares == 0
        norm = jnp.where(silent, 0, jnp.sqrt(jnp.where(silent, 1, squares)))
        return x + scale * (x * norm / (norm.mean(-1, keepdims=True) + 1e-6)) + bias


class Block(nn.Module):
    """A 7×7 convolution of each channel by itself, and two dense layers at each position; the input is added."""

    act: Act
    convolution: Convolution
    drop_path: float
    response_norm: bool  # V2's, in the place of the factor

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Image:
        """Maps [batch, height, width, channels] to the same shape."""
        channels = x.shape[-1]
        y = conv(self.convolution, channels, 7, 'depthwise', groups=channels, bias=True)(x)
        y = self.act(dense(4 * channels, 'expand')(layer_norm('norm')(y)))
        y = ResponseNorm(name='response_norm')(y) if self.response_norm else y
        y = dense(channels, 'project')(y)
        if not self.response_norm:
            y = y * self.param('layer_scale', nn.initializers.constant(1e-6), (channels,))
        return x + drop_path(self.drop_path, train)(y)


class ConvNeXt(nn.Module):
    """4×4 squares, four stages of blocks stage1_0 to stage4_n, the mean over positions, a norm, then `head`."""

    head: Layer
    stages: tuple[int, ...]  # blocks of each stage
    channels: int = 96  # of the first stage, doubled from each to the next
    width: float = 1.0
    response_norm: bool = False  # as of a block
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
        rates = iter(drop_path_rates(self.drop_path, sum(self.stages)))
        for stage, count in enumerate(self.stages, 1):
            if stage > 1:
                channels *= 2
                x = Patches(channels, 2, True, self.convolution, name=f'downsample{stage}')(x)
            for index in range(count):
                block = Block(self.act, self.convolution, next(rates), self.response_norm, name=f'stage{stage}_{index}')
                x = block(x, train)
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

V2 = partial(ConvNeXt, response_norm=True)
V2_INPUT = Input(224, interpolation='bicubic')
V2_NETWORKS = {
    'convnextv2_nano': Network(partial(V2, stages=(2, 2, 8, 2), channels=80), V2_INPUT),
    'convnextv2_tiny': Network(partial(V2, stages=(3, 3, 9, 3)), V2_INPUT),
    'convnextv2_base': Network(partial(V2, stages=(3, 3, 27, 3), channels=128), V2_INPUT),
}
