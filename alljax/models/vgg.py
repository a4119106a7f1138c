"""VGG (Simonyan & Zisserman 2014, arXiv:1409.1556), configurations A, B, D and E, with and without batch norm."""

from functools import partial

import flax.linen as nn
from jax import lax
from jaxtyping import Array, Float

from alljax.models.layers import (
    DENSE_LAYERS,
    Act,
    Convolution,
    Layer,
    Map,
    adaptive_avg_pool,
    batch_norm,
    conv,
    max_pool,
    scaled,
)
from alljax.models.network_definition import Input, Network

CHANNELS = (64, 128, 256, 512, 512)  # of the five blocks, each followed by a pool
BLOCKS = {'vgg11': (1, 1, 2, 2, 2), 'vgg13': (2, 2, 2, 2, 2), 'vgg16': (2, 2, 3, 3, 3), 'vgg19': (2, 2, 4, 4, 4)}


class VGG(nn.Module):
    """3×3 convolutions conv1_1 to conv5_n, fc6 and fc7 with dropout after each, then `head`; 7×7×512 features."""

    head: Layer
    blocks: tuple[int, ...]  # convolutions of each block
    normalized: bool = False  # batch norm after each convolution
    width: float = 1.0
    dropout: float = 0.5  # probability of a zero, after fc6 and fc7
    dense: bool = True  # False leaves out fc6 and fc7: `head` gets the map of the last convolution
    act: Act = nn.relu
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes'] | Map:
        """Maps normalized RGB to logits; `train` uses batch statistics and dropout."""
        norm = batch_norm(train)
        for block, count in enumerate(self.blocks):
            for index in range(count):
                place = f'{block + 1}_{index + 1}'
                channels = scaled(CHANNELS[block], self.width)
                x = conv(self.convolution, channels, 3, f'conv{place}', bias=True)(x)
                x = self.act(norm(f'norm{place}')(x) if self.normalized else x)
            x = max_pool(x, 2, 2)
        if not self.dense:
            return self.head(x)
        x = adaptive_avg_pool(x, 7)
        x = x.reshape(x.shape[0], -1)
        for name in DENSE_LAYERS:
            x = self.act(nn.Dense(scaled(4096, self.width), name=name)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return self.head(x)


NETWORKS = {
    name + suffix: Network(partial(VGG, blocks=blocks, normalized=bool(suffix)), Input(224))
    for name, blocks in BLOCKS.items()
    for suffix in ('', '_bn')
}
