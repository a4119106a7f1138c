"""SqueezeNet (Iandola et al. 2016, arXiv:1602.07360), the paper's 1.0 and its authors' cheaper 1.1."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from alljax.models.layers import Act, Convolution, Image, Layer, Map, conv, max_pool, scaled
from alljax.models.network_definition import Input, Network
from alljax.models.row_product import row_product

# Channels of the squeeze and of each of the two expansions of fire2 to fire9.
FIRES = ((16, 64), (16, 64), (32, 128), (32, 128), (48, 192), (48, 192), (64, 256), (64, 256))
POOLS = {'squeezenet1_0': (4, 8), 'squeezenet1_1': (3, 5)}  # the fires after which a pool follows


class Fire(nn.Module):
    """A 1×1 convolution to few channels, then 1×1 and 3×3 ones side by side."""

    squeezed: int
    expanded: int  # channels of each of the two
    act: Act
    convolution: Convolution

    @nn.compact
    def __call__(self, x: Image) -> Map:
        """Maps [batch, height, width, channels in] to [batch, height, width, 2 × expanded]."""
        make = partial(conv, self.convolution, bias=True)
        x = self.act(make(self.squeezed, 1, 'squeeze')(x))
        sides = [make(self.expanded, kernel, f'expand{kernel}x{kernel}')(x) for kernel in (1, 3)]
        return self.act(jnp.concatenate(sides, -1))


class MeanLogits(nn.Module):
    """The published last layer: logits at each position by a 1×1 convolution, rectified, then their mean."""

    classes: int
    act: Act = nn.relu

    @nn.compact
    def __call__(self, x: Float[Array, 'batch height width features']) -> Float[Array, 'batch classes']:
        """Maps a map of features to logits."""
        logits = nn.Conv(
            self.classes, (1, 1), kernel_init=nn.initializers.normal(0.01), conv_general_dilated=_pointwise,
            name='logits',
        )  # fmt: skip
        return self.act(logits(x)).mean((1, 2))


def _pointwise(image: Image, kernel: Array, *_: object, **__: object) -> Map:
    return row_product(image, kernel[0, 0])


class SqueezeNet(nn.Module):
    """A convolution, fire2 to fire9 with pools between, dropout, then `head` on a map of 512 features."""

    head: Layer
    stem: tuple[int, int]  # channels and kernel of conv1
    pools: tuple[int, ...]  # the fires after which a pool follows
    width: float = 1.0
    dropout: float = 0.5  # probability of a zero, before `head`
    act: Act = nn.relu
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(self, x: Float[Array, 'batch height width 3'], *, train: bool = False) -> Float[Array, 'batch ...']:
        """Maps normalized RGB to logits; `train` switches dropout on, which then needs rngs={'dropout': key}."""
        channels, kernel = self.stem
        first = conv(
            self.convolution, scaled(channels, self.width), kernel, 'conv1', stride=2, padding=0, bias=True
        )  # fmt: skip
        x = max_pool(self.act(first(x)), ceil=True)
        for place, (squeezed, expanded) in enumerate(FIRES, 2):
            sizes = scaled(squeezed, self.width), scaled(expanded, self.width)
            x = Fire(*sizes, self.act, self.convolution, name=f'fire{place}')(x)
            x = max_pool(x, ceil=True) if place in self.pools else x
        return self.head(nn.Dropout(self.dropout, deterministic=not train)(x))


def _network(name: str, stem: tuple[int, int]) -> Network:
    return Network(partial(SqueezeNet, stem=stem, pools=POOLS[name]), Input(224), MeanLogits)


NETWORKS = {name: _network(name, stem) for name, stem in (('squeezenet1_0', (96, 7)), ('squeezenet1_1', (64, 3)))}
