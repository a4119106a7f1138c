"""ViT (Dosovitskiy et al. 2020, arXiv:2010.11929): an image as a sequence of patches."""

from collections.abc import Callable
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from alljax.models.convnext import gelu, layer_norm
from alljax.models.layers import Act, Convolution, Layer, conv, dense, scaled
from alljax.models.network_definition import Input, Network

Sequence = Float[Array, 'batch patches channels']  # the class token, registers if any, and the patches row by row


class Attention(nn.Module):
    """Every place looks at all, in several ways at once; queries, keys and values come of one dense layer."""

    heads: int

    @nn.compact
    def __call__(self, x: Sequence) -> Sequence:
        """Maps [batch, patches, channels] to the same shape."""
        parts = jnp.split(dense(3 * x.shape[-1], 'in')(x), 3, -1)
        # Heads before places: on XLA:CPU a quarter less time than jax.nn.dot_product_attention.
        query, key, value = (part.reshape(*x.shape[:2], self.heads, -1).swapaxes(1, 2) for part in parts)
        weights = nn.softmax(query @ key.swapaxes(2, 3) / query.shape[-1] ** 0.5)
        return dense(x.shape[-1], 'out')((weights @ value).swapaxes(1, 2).reshape(x.shape))


class Block(nn.Module):
    """Attention, then two dense layers at each place; the input is added to each."""

    heads: int
    dropout: float
    act: Act
    layer_scale: float = 0.0  # the first value of a factor a channel on what is added to the input; 0 for no factor

    @nn.compact
    def __call__(self, x: Sequence, train: bool) -> Sequence:
        """Maps [batch, patches, channels] to the same shape."""
        drop: Callable[[], Layer] = partial(nn.Dropout, self.dropout, deterministic=not train)
        y = Attention(self.heads, name='attention')(layer_norm('norm1')(x))
        x = x + drop()(self._layer_scaled('layer_scale1', y))
        y = drop()(self.act(dense(4 * x.shape[-1], 'expand')(layer_norm('norm2')(x))))
        return x + drop()(self._layer_scaled('layer_scale2', dense(x.shape[-1], 'project')(y)))

    def _layer_scaled(self, name: str, y: Sequence) -> Sequence:
        if not self.layer_scale:
            return y
        return y * self.param(name, nn.initializers.constant(self.layer_scale), (y.shape[-1],))


class ViT(nn.Module):
    """Patches and a class token, block0 to blockn, a norm, then `head` from the class token.

    The embeddings of positions belong to one size of the image; pixels beyond the last whole patch are left out.
    """

    head: Layer
    patch: int  # pixels a side
    blocks: int = 12
    heads: int = 12  # of attention
    channels: int = 64  # of each of them
    width: float = 1.0  # factor on heads
    registers: int = 0  # learned tokens without a position, after the class token; they have no output
    layer_scale: float = 0.0  # as of a block
    dropout: float = 0.0  # probability of a zero, after the embeddings and each dense layer of a block but `in`
    act: Act = gelu
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes']:
        """Maps normalized RGB to logits; `train` uses dropout."""
        heads = scaled(self.heads, self.width)
        channels = heads * self.channels
        x = conv(self.convolution, channels, self.patch, 'patches', stride=self.patch, padding=0, bias=True)(x)
        x = x.reshape(x.shape[0], -1, channels)
        token = self.param('class_token', nn.initializers.zeros, (1, 1, channels))
        x = jnp.concatenate([jnp.broadcast_to(token, (x.shape[0], 1, channels)), x], 1)
        x = x + self.param('position', nn.initializers.normal(0.02), (1, *x.shape[1:]))
        if self.registers:
            tokens = self.param('registers', nn.initializers.normal(1e-6), (1, self.registers, channels))
            tokens = jnp.broadcast_to(tokens, (x.shape[0], self.registers, channels))
            x = jnp.concatenate([x[:, :1], tokens, x[:, 1:]], 1)
        x = nn.Dropout(self.dropout, deterministic=not train)(x)
        for index in range(self.blocks):
            x = Block(heads, self.dropout, self.act, self.layer_scale, name=f'block{index}')(x, train)
        return self.head(layer_norm('norm')(x[:, 0]))


Large = partial(ViT, blocks=24, heads=16)
NETWORKS = {
    'vit_b_16': Network(partial(ViT, patch=16), Input(224)),
    'vit_b_32': Network(partial(ViT, patch=32), Input(224)),
    'vit_l_16': Network(partial(Large, patch=16), Input(224, resize=242)),
    'vit_l_32': Network(partial(Large, patch=32), Input(224)),
    'vit_h_14': Network(
        partial(ViT, patch=14, blocks=32, heads=16, channels=80),
        Input(518, resize=518, interpolation='bicubic'),  # of the only weights, SWAG's
    ),
}
