"""ConvNeXt V2 (Woo et al. 2023, arXiv:2301.00808): ConvNeXt whose channels compete in each image.

A global response normalization stands between the dense layers of a block, and no factor after them.
"""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp

from alljax.models.convnext import ConvNeXt, layer_norm
from alljax.models.layers import Act, Convolution, Image, conv, drop_path
from alljax.models.network_definition import Input, Network


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
    """ConvNeXt's block with that normalization before the second dense layer."""

    act: Act
    convolution: Convolution
    drop_path: float

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Image:
        """Maps [batch, height, width, channels] to the same shape."""
        channels = x.shape[-1]
        y = conv(self.convolution, channels, 7, 'depthwise', groups=channels, bias=True)(x)
        y = self.act(nn.Dense(4 * channels, name='expand')(layer_norm('norm')(y)))
        y = nn.Dense(channels, name='project')(ResponseNorm(name='response_norm')(y))
        return x + drop_path(self.drop_path, train)(y)


ConvNeXtV2 = partial(ConvNeXt, block=Block)
INPUT = Input(224, interpolation='bicubic')
NETWORKS = {
    'convnextv2_nano': Network(partial(ConvNeXtV2, stages=(2, 2, 8, 2), channels=80), INPUT),
    'convnextv2_tiny': Network(partial(ConvNeXtV2, stages=(3, 3, 9, 3)), INPUT),
    'convnextv2_base': Network(partial(ConvNeXtV2, stages=(3, 3, 27, 3), channels=128), INPUT),
}
