"""Inception v3 (Szegedy et al. 2015, arXiv:1512.00567), without its auxiliary classifier."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from alljax.models.layers import Act, ConvNorm, Convolution, Image, Layer, Map, avg_pool, max_pool, scaled
from alljax.models.network_definition import Input, Network

Branch = Callable[..., Array]
ROW, COLUMN = (1, 7), (7, 1)

#        name, channels, kernel, stride, padding, pooled after
STEM = (
    ('Conv2d_1a_3x3', 32, 3, 2, 0, False),
    ('Conv2d_2a_3x3', 32, 3, 1, 0, False),
    ('Conv2d_2b_3x3', 64, 3, 1, 1, True),
    ('Conv2d_3b_1x1', 80, 1, 1, 0, False),
    ('Conv2d_4a_3x3', 192, 3, 1, 0, True),
)


class Mixed(nn.Module):
    """A block of branches side by side."""

    branches: Callable[[Branch, Array], list[Array]]  # as in BLOCKS
    make: Callable[..., nn.Module]  # ConvNorm from channels, kernel, stride, padding and name
    width: float

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Map:
        """Maps [batch, height, width, channels in] to [batch, rows, columns, channels of all branches]."""

        def branch(x: Array, name: str, *convolutions: tuple[int, Any], stride: int = 1) -> Array:
            """Convolutions name_1, name_2, … of (channels, kernel), or `name`; the last has `stride`, 2 unpadded."""
            for index, (channels, kernel) in enumerate(convolutions, 1):
                own = f'{name}_{index}' if len(convolutions) > 1 else name
                strided = {'stride': 2, 'padding': 0} if stride == 2 and index == len(convolutions) else {}
                x = self.make(scaled(channels, self.width), kernel, name=own, **strided)(x, train)
            return x

        return jnp.concatenate(self.branches(branch, x), -1)


class InceptionV3(nn.Module):
    """Five convolutions, Mixed_5b to Mixed_7c, the mean over positions, dropout, then `head`; 2048 features."""

    head: Layer
    width: float = 1.0
    dropout: float = 0.5  # probability of a zero, before `head`
    act: Act = nn.relu
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes']:
        """Maps normalized RGB to logits; `train` uses batch statistics and dropout."""
        make = partial(ConvNorm, act=self.act, convolution=self.convolution, epsilon=0.001)
        for name, channels, kernel, stride, padding, pooled in STEM:
            x = make(scaled(channels, self.width), kernel, stride=stride, padding=padding, name=name)(x, train)
            x = max_pool(x) if pooled else x
        for name, branches in BLOCKS.items():
            x = Mixed(branches, make, self.width, name=name)(x, train)
        return self.head(nn.Dropout(self.dropout, deterministic=not train)(x.mean((1, 2))))


def _fine(branch: Branch, x: Array, pooled: int) -> list[Array]:
    """3×3 convolutions on 35×35 positions (the paper's figure 5)."""
    return [
        branch(x, 'branch1x1', (64, 1)),
        branch(x, 'branch5x5', (48, 1), (64, 5)),
        branch(x, 'branch3x3dbl', (64, 1), (96, 3), (96, 3)),
        branch(avg_pool(x, 3, 1, 1), 'branch_pool', (pooled, 1)),
    ]


def _to_middle(branch: Branch, x: Array) -> list[Array]:
    """From 35×35 to 17×17 positions (figure 10)."""
    return [
        branch(x, 'branch3x3', (384, 3), stride=2),
        branch(x, 'branch3x3dbl', (64, 1), (96, 3), (96, 3), stride=2),
        max_pool(x),
    ]


def _middle(branch: Branch, x: Array, inner: int) -> list[Array]:
    """7×7 convolutions in rows and columns on 17×17 positions (figure 6)."""
    return [
        branch(x, 'branch1x1', (192, 1)),
        branch(x, 'branch7x7', (inner, 1), (inner, ROW), (192, COLUMN)),
        branch(x, 'branch7x7dbl', (inner, 1), (inner, COLUMN), (inner, ROW), (inner, COLUMN), (192, ROW)),
        branch(avg_pool(x, 3, 1, 1), 'branch_pool', (192, 1)),
    ]


def _to_coarse(branch: Branch, x: Array) -> list[Array]:
    """From 17×17 to 8×8 positions."""
    return [
        branch(x, 'branch3x3', (192, 1), (320, 3), stride=2),
        branch(x, 'branch7x7x3', (192, 1), (192, ROW), (192, COLUMN), (192, 3), stride=2),
        max_pool(x),
    ]


def _coarse(branch: Branch, x: Array) -> list[Array]:
    """3×3 convolutions as a row beside a column, on 8×8 positions (figure 7)."""
    single = branch(x, 'branch3x3_1', (384, 1))
    double = branch(branch(x, 'branch3x3dbl_1', (448, 1)), 'branch3x3dbl_2', (384, 3))
    return [
        branch(x, 'branch1x1', (320, 1)),
        branch(single, 'branch3x3_2a', (384, (1, 3))),
        branch(single, 'branch3x3_2b', (384, (3, 1))),
        branch(double, 'branch3x3dbl_3a', (384, (1, 3))),
        branch(double, 'branch3x3dbl_3b', (384, (3, 1))),
        branch(avg_pool(x, 3, 1, 1), 'branch_pool', (192, 1)),
    ]


BLOCKS: dict[str, Callable[[Branch, Array], list[Array]]] = {
    'Mixed_5b': partial(_fine, pooled=32),
    'Mixed_5c': partial(_fine, pooled=64),
    'Mixed_5d': partial(_fine, pooled=64),
    'Mixed_6a': _to_middle,
    'Mixed_6b': partial(_middle, inner=128),
    'Mixed_6c': partial(_middle, inner=160),
    'Mixed_6d': partial(_middle, inner=160),
    'Mixed_6e': partial(_middle, inner=192),
    'Mixed_7a': _to_coarse,
    'Mixed_7b': _coarse,
    'Mixed_7c': _coarse,
}

# Means and deviations of one half, at which torchvision's `transform_input` arrives from its usual ones.
NETWORKS = {'inception_v3': Network(InceptionV3, Input(299, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), resize=342))}
