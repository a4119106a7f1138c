"""DenseNet-BC (Huang et al. 2016, arXiv:1608.06993): every layer sees the outputs of all before it in its block."""

from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from alljax.models.layers import Act, Convolution, Image, Layer, Map, avg_pool, batch_norm, conv, max_pool, scaled
from alljax.models.network_definition import Input, Network


class DenseLayer(nn.Module):
    """The features that one layer adds: a 1×1 convolution to four times as many, then a 3×3 one."""

    growth: int  # features added
    dropout: float
    act: Act
    convolution: Convolution

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Map:
        """Maps [batch, height, width, channels so far] to [batch, height, width, growth]."""
        make, norm = partial(conv, self.convolution), batch_norm(train)
        x = make(4 * self.growth, 1, 'conv1')(self.act(norm('norm1')(x)))
        x = make(self.growth, 3, 'conv2')(self.act(norm('norm2')(x)))
        drop: Layer = nn.Dropout(self.dropout, deterministic=not train)
        return drop(x)


class Transition(nn.Module):
    """Half the channels and half the positions, between two blocks."""

    act: Act
    convolution: Convolution

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Map:
        """Maps [batch, height, width, channels] to [batch, height / 2, width / 2, channels / 2]."""
        x = self.act(batch_norm(train)('norm')(x))
        return avg_pool(conv(self.convolution, x.shape[-1] // 2, 1, 'conv')(x), 2, 2)


class DenseNet(nn.Module):
    """A 7×7 convolution, four blocks of layers with transitions between, the mean over positions, then `head`."""

    head: Layer
    blocks: tuple[int, ...]  # layers of each block
    growth: int = 32  # features that a layer adds; conv0 starts with twice as many
    width: float = 1.0
    dropout: float = 0.0  # probability of a zero, after each layer; the paper's 0.2 is for small sets as they are
    act: Act = nn.relu
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes']:
        """Maps normalized RGB to logits; `train` uses batch statistics and dropout."""
        growth, norm = scaled(self.growth, self.width), batch_norm(train)
        x = conv(self.convolution, 2 * growth, 7, 'conv0', stride=2)(x)
        x = max_pool(self.act(norm('norm0')(x)), padding=1)
        for block, count in enumerate(self.blocks, 1):
            if block > 1:
                x = Transition(self.act, self.convolution, name=f'transition{block - 1}')(x, train)
            for index in range(1, count + 1):
                name = f'denseblock{block}_layer{index}'
                added = DenseLayer(growth, self.dropout, self.act, self.convolution, name=name)(x, train)
                x = jnp.concatenate([x, added], -1)
        return self.head(self.act(norm('norm5')(x)).mean((1, 2)))


NETWORKS = {
    'densenet121': Network(partial(DenseNet, blocks=(6, 12, 24, 16)), Input(224)),
    'densenet161': Network(partial(DenseNet, blocks=(6, 12, 36, 24), growth=48), Input(224)),
    'densenet169': Network(partial(DenseNet, blocks=(6, 12, 32, 32)), Input(224)),
    'densenet201': Network(partial(DenseNet, blocks=(6, 12, 48, 32)), Input(224)),
}
