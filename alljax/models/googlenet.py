"""GoogLeNet (Szegedy et al. 2014, arXiv:1409.4842) with batch norm as in torchvision, without auxiliary classifiers."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from alljax.models.layers import Act, ConvNorm, Convolution, Image, Layer, Map, max_pool, scaled
from alljax.models.network_definition import Input, Network

# Channels of each block's branches: 1×1; 3×3 and the 1×1 before it; second 3×3 and the 1×1 before it; after the pool.
BLOCKS = {
    '3a': (64, 96, 128, 16, 32, 32),
    '3b': (128, 128, 192, 32, 96, 64),
    '4a': (192, 96, 208, 16, 48, 64),
    '4b': (160, 112, 224, 24, 64, 64),
    '4c': (128, 128, 256, 24, 64, 64),
    '4d': (112, 144, 288, 32, 64, 64),
    '4e': (256, 160, 320, 32, 128, 128),
    '5a': (256, 160, 320, 32, 128, 128),
    '5b': (384, 192, 384, 48, 128, 128),
}
POOLS = {'3b': 3, '4e': 2}  # the blocks after which a pool follows, and its window


class Inception(nn.Module):
    """Four branches side by side; branch3 has a 3×3 where the paper has a 5×5, because the published weights do."""

    make: Callable[..., nn.Module]  # ConvNorm from channels, kernel and name
    channels: tuple[int, ...]  # as in BLOCKS

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Map:
        """Maps [batch, height, width, channels in] to [batch, height, width, channels of the four branches]."""

        def branch(x: Array, *convolutions: tuple[str, int, int]) -> Array:
            for name, channels, kernel in convolutions:
                x = self.make(channels, kernel, name=name)(x, train)
            return x

        single, before3, after3, before5, after5, pooled = self.channels
        branches = (
            branch(x, ('branch1', single, 1)),
            branch(x, ('branch2_0', before3, 1), ('branch2_1', after3, 3)),
            branch(x, ('branch3_0', before5, 1), ('branch3_1', after5, 3)),
            branch(max_pool(x, 3, 1, 1), ('branch4_1', pooled, 1)),
        )
        return jnp.concatenate(branches, -1)


class GoogLeNet(nn.Module):
    """Three convolutions, inception3a to inception5b, the mean over positions, dropout, then `head`."""

    head: Layer
    width: float = 1.0
    dropout: float = 0.2  # probability of a zero, before `head`
    act: Act = nn.relu
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes']:
        """Maps normalized RGB to logits; `train` uses batch statistics and dropout."""
        make = partial(ConvNorm, act=self.act, convolution=self.convolution, epsilon=0.001)
        x = make(scaled(64, self.width), 7, stride=2, name='conv1')(x, train)
        x = make(scaled(64, self.width), 1, name='conv2')(max_pool(x, ceil=True), train)
        x = make(scaled(192, self.width), 3, name='conv3')(x, train)
        x = max_pool(x, ceil=True)
        for place, channels in BLOCKS.items():
            sizes = tuple(scaled(count, self.width) for count in channels)
            x = Inception(make, sizes, name=f'inception{place}')(x, train)
            x = max_pool(x, POOLS[place], ceil=True) if place in POOLS else x
        return self.head(nn.Dropout(self.dropout, deterministic=not train)(x.mean((1, 2))))


# Means and deviations of one half, at which torchvision's `transform_input` arrives from its usual ones.
NETWORKS = {'googlenet': Network(GoogLeNet, Input(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)))}
