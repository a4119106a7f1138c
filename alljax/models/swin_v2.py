"""Swin V2 (Liu et al. 2021, arXiv:2111.09883): attention within windows, which every other block moves by half.

Queries and keys are compared by their cosine; a small network makes the bias of two positions from their distance in
rows and columns on a logarithmic scale; each branch is normalized before the input is added.
"""

import math
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int

from alljax.models.convnext import gelu, layer_norm
from alljax.models.layers import Act, Convolution, Image, Layer, Map, conv, dense, drop_path, drop_path_rates, scaled
from alljax.models.network_definition import Input, Network

HEAD = 32  # channels of each head of attention
HIDDEN = 512  # units of the network that makes the bias of positions
SHARPEST = math.log(100)  # of the factor on cosines
APART = -100.0  # added to what joins positions that were not beside each other before the windows moved
norm = partial(layer_norm, epsilon=1e-5)

Windows = Float[Array, 'batch windows positions channels']


class Attention(nn.Module):
    """Every position looks at all of its window."""

    heads: int
    window: int  # positions a side
    act: Act  # of the network that makes the bias of positions

    @nn.compact
    def __call__(self, x: Windows, apart: Float[np.ndarray, 'windows positions positions'] | None) -> Windows:
        """Maps [batch, windows, positions, channels] to the same shape; `apart` is added to the logits of attention."""
        channels = x.shape[-1]
        query, key, value = jnp.split(dense(3 * channels, 'in', bias=False)(x), 3, -1)
        query = query + self.param('query_bias', nn.initializers.zeros, (channels,))
        value = value + self.param('value_bias', nn.initializers.zeros, (channels,))
        query, key, value = (
            part.reshape(*x.shape[:3], self.heads, -1).swapaxes(2, 3) for part in (query, key, value)
        )  # [batch, windows, heads, positions, channels]
        scale = self.param('logit_scale', nn.initializers.constant(math.log(10)), (self.heads, 1, 1))
        logits = unit(query) @ unit(key).swapaxes(3, 4) * jnp.exp(jnp.minimum(scale, SHARPEST))
        logits = logits + self._position_bias(x)
        if apart is not None:
            logits = logits + apart[:, None].astype(x.dtype)
        x = (nn.softmax(logits) @ value).swapaxes(2, 3).reshape(x.shape)
        return dense(channels, 'out')(x)

    def _position_bias(self, x: Windows) -> Float[Array, 'heads positions positions']:
        """From 0 to 16 for each two positions of a window."""
        hidden = self.act(dense(HIDDEN, 'distance_hidden')(jnp.asarray(distances(self.window), x.dtype)))
        bias = dense(self.heads, 'distance_bias', bias=False)(hidden)
        return 16 * nn.sigmoid(jnp.moveaxis(bias[pairs(self.window)], -1, 0))


class Block(nn.Module):
    """Attention within windows, then two dense layers at each position; what they give is normalized and added."""

    heads: int
    window: int
    shift: int  # positions by which the windows are moved
    act: Act | None
    drop_path: float

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Image:
        """Maps [batch, height, width, channels] to the same shape."""
        channels, drop = x.shape[-1], drop_path(self.drop_path, train)
        x = x + drop(norm('norm1')(self._attention(x)))
        y = (self.act or gelu)(dense(4 * channels, 'expand')(x))
        return x + drop(norm('norm2')(dense(channels, 'project')(y)))

    def _attention(self, x: Image) -> Image:
        height, width, channels = x.shape[1:]
        # Windows as large as the map are not moved, as there is nothing beside them.
        window = min(self.window, height, width)
        shift = self.shift if min(height, width) > window else 0
        y = jnp.roll(x, (-shift, -shift), (1, 2)) if shift else x
        y = jnp.pad(y, ((0, 0), (0, -height % window), (0, -width % window), (0, 0)))
        rows, columns = y.shape[1] // window, y.shape[2] // window
        y = y.reshape(-1, rows, window, columns, window, channels).swapaxes(2, 3)
        y = y.reshape(-1, rows * columns, window**2, channels)
        apart = separated(rows, columns, window, shift) if shift else None
        y = Attention(self.heads, window, self.act or nn.relu, name='attention')(y, apart)
        y = y.reshape(-1, rows, columns, window, window, channels).swapaxes(2, 3)
        y = y.reshape(-1, rows * window, columns * window, channels)[:, :height, :width]
        return jnp.roll(y, (shift, shift), (1, 2)) if shift else y


class Merge(nn.Module):
    """Squares of four positions to one of twice the channels, normalized."""

    @nn.compact
    def __call__(self, x: Image) -> Map:
        """Maps [batch, height, width, channels] to [batch, height / 2, width / 2, 2 channels]; odd sides get a 0."""
        channels = x.shape[-1]
        x = jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
        x = x.reshape(-1, x.shape[1] // 2, 2, x.shape[2] // 2, 2, channels).transpose(0, 1, 3, 4, 2, 5)
        x = x.reshape(*x.shape[:3], 4 * channels)  # columns before rows
        merged: Map = norm('norm')(dense(2 * channels, 'reduction', bias=False)(x))
        return merged


class SwinV2(nn.Module):
    """4×4 squares, four stages of blocks stage1_0 to stage4_n, a norm, the mean over positions, then `head`."""

    head: Layer
    stages: tuple[int, ...]  # blocks of each stage
    window: int  # positions a side, at most
    heads: int = 3  # of attention in the first stage, doubled from each to the next
    width: float = 1.0  # factor on heads
    drop_path: float = 0.2  # probability of a left out branch in the last block, rising to it from 0 in the first
    act: Act | None = None  # None for GELU in the blocks and ReLU for the bias of positions
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes']:
        """Maps normalized RGB to logits; `train` uses stochastic depth, which then needs rngs={'dropout': key}."""
        heads = scaled(self.heads, self.width)
        x = conv(self.convolution, HEAD * heads, 4, 'stem', stride=4, padding=0, bias=True)(x)
        x = norm('stem_norm')(x)
        rates = iter(drop_path_rates(self.drop_path, sum(self.stages)))
        for stage, count in enumerate(self.stages, 1):
            if stage > 1:
                heads *= 2
                x = Merge(name=f'downsample{stage}')(x)
            for index in range(count):
                shift = self.window // 2 * (index % 2)
                x = Block(heads, self.window, shift, self.act, next(rates), name=f'stage{stage}_{index}')(x, train)
        return self.head(norm('norm')(x).mean((1, 2)))


def unit(x: Float[Array, '... channels']) -> Float[Array, '... channels']:
    """Vectors of length 1; one of length 0 stays so, and has a finite gradient."""
    return x * lax.rsqrt(jnp.maximum(jnp.square(x).sum(-1, keepdims=True), 1e-24))


def distances(window: int) -> Float[np.ndarray, 'distances 2']:
    """Every distance in rows and columns between two positions of a window, by sign and logarithm (equation 4)."""
    steps = np.arange(1 - window, window) * 8 / max(window - 1, 1)
    steps = np.sign(steps) * np.log2(np.abs(steps) + 1) / 3  # log2(8)
    return np.stack(np.meshgrid(steps, steps, indexing='ij'), -1).reshape(-1, 2)


def pairs(window: int) -> Int[np.ndarray, 'positions positions']:
    """The place in `distances` of the distance from the second of two positions to the first."""
    rows, columns = np.divmod(np.arange(window**2), window)
    row, column = (place[:, None] - place + window - 1 for place in (rows, columns))
    found: Int[np.ndarray, 'positions positions'] = row * (2 * window - 1) + column
    return found


def separated(rows: int, columns: int, window: int, shift: int) -> Float[np.ndarray, 'windows positions positions']:
    """A summand for each two positions of each moved window: 0, or APART if the border lies between them."""

    def parts(length: int) -> Int[np.ndarray, ' length']:
        return np.repeat([0, 1, 2], [length - window, window - shift, shift])

    part = 3 * parts(rows * window)[:, None] + parts(columns * window)
    part = part.reshape(rows, window, columns, window).swapaxes(1, 2).reshape(rows * columns, -1)
    return np.where(part[:, :, None] == part[:, None], 0, APART)


NETWORKS = {
    'swinv2_tiny_window8_256': Network(
        partial(SwinV2, stages=(2, 2, 6, 2), window=8), Input(256, resize=284, interpolation='bicubic')
    )
}
