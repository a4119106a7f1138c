"""Layers that several families share."""

from collections.abc import Callable
from functools import partial, reduce
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from alljax.models.row_product import row_product

Image = Float[Array, 'batch height width channels']  # what goes into a layer
Map = Float[Array, 'batch rows columns features']  # and what comes out of it
Act = Callable[[Array], Array]
Convolution = Callable[..., Array]  # as lax.conv_general_dilated
Layer = Callable[[Array], Array]
DENSE_LAYERS = ('fc6', 'fc7')  # of AlexNet and VGG, between the last convolution and the head
Padding = int | tuple[int, int] | Literal['SAME'] | None


class Reduction(NamedTuple):
    """A way to make one value of many, and the value that changes nothing in it."""

    combine: Callable[[Array, Array], Array]
    neutral: float


MAXIMUM, SUM = Reduction(jnp.maximum, -np.inf), Reduction(jnp.add, 0.0)

he_normal = nn.initializers.he_normal()


def scaled(channels: int, width: float, multiple: int = 1) -> int:
    """`channels` times `width` as a number of `multiple`s, at least one; `channels` itself at width 1."""
    return channels if width == 1 else max(1, round(channels * width / multiple)) * multiple


def conv(
    convolution: Convolution, channels: int, kernel: int | tuple[int, int], name: str, *, stride: int = 1,
    padding: Padding = None, groups: int = 1, bias: bool = False,
) -> nn.Conv:  # fmt: skip
    """A convolution padded as torchvision writes it: by `padding` on all sides, half the kernel unless told.

    'SAME' is TensorFlow's padding, whose sides may differ by one at stride 2.
    """
    rows, columns = (kernel, kernel) if isinstance(kernel, int) else kernel
    sides = (padding, padding) if isinstance(padding, int) else padding or (rows // 2, columns // 2)
    return nn.Conv(
        channels,
        (rows, columns),
        (stride, stride),
        sides if sides == 'SAME' else [(side, side) for side in sides],
        feature_group_count=groups,
        use_bias=bias,
        kernel_init=he_normal,
        conv_general_dilated=convolution,
        name=name,
    )


def dense(features: int, name: str, *, bias: bool = True) -> nn.Dense:
    """A dense layer for images and sequences, whose positions it takes as the rows of one matrix."""
    return nn.Dense(features, use_bias=bias, dot_general=row_product, name=name)


def batch_norm(train: bool, epsilon: float = 1e-5) -> Callable[[str], Layer]:
    """A maker of batch normalizations by name: batch statistics in training, running ones otherwise.

    A tenth of the running statistics is new after each step, in every network. Some were published with a hundredth,
    for their hundred thousands of steps; of the hundred that a few cells give, a third would still be ImageNet's. The
    mode is an argument of the call and not a field of the layer, so that `use_running_statistics` can hold single
    layers at their running statistics.
    """

    def named(name: str, **options: Any) -> Layer:
        layer = nn.BatchNorm(momentum=0.9, epsilon=epsilon, name=name, **options)
        return partial(layer, use_running_average=not train)

    return named


class ConvNorm(nn.Module):
    """A convolution, its batch norm and the rectifier, if there is one."""

    channels: int
    kernel: int | tuple[int, int]
    act: Act | None
    convolution: Convolution
    stride: int = 1
    groups: int = 1
    padding: Padding = None
    epsilon: float = 1e-5

    @nn.compact
    def __call__(self, x: Image, train: bool) -> Map:
        """Maps [batch, height, width, channels in] to [batch, height / stride, width / stride, channels]."""
        convolve = conv(
            self.convolution, self.channels, self.kernel, 'conv', stride=self.stride, groups=self.groups,
            padding=self.padding,
        )  # fmt: skip
        x = batch_norm(train, self.epsilon)('bn')(convolve(x))
        return self.act(x) if self.act else x


def max_pool(x: Image, window: int = 3, stride: int = 2, padding: int = 0, *, ceil: bool = False) -> Map:
    """Max pooling; the last incomplete window is dropped, or kept with `ceil` (torch's `ceil_mode`).

    A maximum over strided slices, rows first, because the gradient of `lax.reduce_window` takes five to nine times as
    long on XLA:CPU and no less on a GPU.
    """
    return _pool(x, window, stride, padding, MAXIMUM, ceil)


def avg_pool(x: Image, window: int, stride: int, padding: int = 0) -> Map:
    """Average pooling, padded zeros counted as values; a sum over slices, for the reason of `max_pool`."""
    return _pool(x, window, stride, padding, SUM, False) / window**2


def adaptive_avg_pool(x: Image, size: int) -> Map:
    """Means over `size`×`size` windows that cover the image, of equal size or overlapping (torch's adaptive one)."""
    height, width = x.shape[1:3]
    if (height, width) == (size, size):
        return x
    rows, columns = (jnp.asarray(_windows(length, size), x.dtype) for length in (height, width))
    return jnp.einsum('bhwc,ih,jw->bijc', x, rows, columns)


def drop_path_rates(highest: float, blocks: int) -> list[float]:
    """The rate of each of several blocks: 0 for the first, rising to `highest` for the last."""
    return [highest * place / (blocks - 1) for place in range(blocks)]


def drop_path(rate: float, train: bool) -> Layer:
    """Stochastic depth: a residual branch is left out for single images (Huang et al. 2016, arXiv:1603.09382)."""
    return nn.Dropout(rate, broadcast_dims=(1, 2, 3), deterministic=not train)


def _pool(x: Image, window: int, stride: int, padding: int, reduction: Reduction, ceil: bool) -> Map:
    for axis in (1, 2):
        length = x.shape[axis] + 2 * padding
        count = (length - window) // stride + 1
        if ceil and count * stride < length - padding and (length - window) % stride:
            count += 1  # a last window has to start on the image or its left border
        need = (count - 1) * stride + window
        after = padding + max(0, need - length)
        if padding or after:
            x = jnp.pad(
                x, [(padding, after) if a == axis else (0, 0) for a in range(4)], constant_values=reduction.neutral
            )
        last = (count - 1) * stride + 1
        x = reduce(reduction.combine, [lax.slice_in_dim(x, i, i + last, stride, axis) for i in range(window)])
    return x


def _windows(length: int, size: int) -> np.ndarray:
    """[size, length]: row i holds the weights of output i."""
    matrix = np.zeros((size, length))
    for i in range(size):
        start, stop = i * length // size, -(-(i + 1) * length // size)
        matrix[i, start:stop] = 1 / (stop - start)
    return matrix
