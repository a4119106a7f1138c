"""The patches that a convolution's kernel sees at each position, as rows of a matrix."""

from collections.abc import Sequence
from itertools import product

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from flax.typing import PaddingLike
from jax import lax
from jaxtyping import Array, Float, Int

FEW = 16  # channels: slices of fewer are slow to copy, so a stride's pixels are put together first


def patches(
    x: Float[Array, 'batch height width channels'], module: nn.Conv, *, in_order: bool = False
) -> Float[Array, 'batch groups places inputs']:
    """The patches of a `flax.linen.Conv`, by group of channels; the order of a patch's numbers is the function's own.

    Where strided patches of few channels are built from blocks, numbers beyond the kernel are zeros. `in_order`, the
    numbers are those of the kernel [rows, columns, channels], in its order.
    """
    groups = module.feature_group_count
    size, strides, dilation = map(_two, (module.kernel_size, module.strides, module.kernel_dilation))
    reach = tuple((k - 1) * d + 1 for k, d in zip(size, dilation, strict=True))
    pads = _pads(module.padding, x.shape[1:3], reach, strides)
    counts = [(n + sum(p) - r) // s + 1 for n, p, r, s in zip(x.shape[1:3], pads, reach, strides, strict=True)]
    if groups == 1 and x.shape[3] < FEW and dilation == (1, 1) and max(strides) > 1 and strides <= size:
        blocks = _from_blocks(x, size, strides, pads, counts)
        return blocks[..., _order_in_blocks(size, strides, x.shape[3])] if in_order else blocks
    x = jnp.pad(x, [(0, 0), *pads, (0, 0)])
    slices = []
    for i, j in product(range(size[0]), range(size[1])):
        rows, columns = (
            slice(at * d, at * d + (n - 1) * s + 1, s)
            for at, d, n, s in zip((i, j), dilation, counts, strides, strict=True)
        )
        slices.append(x[:, rows, columns])
    stacked = jnp.stack(slices, 3).reshape(len(x), -1, len(slices), groups, x.shape[3] // groups)
    return jnp.moveaxis(stacked, 3, 1).reshape(len(x), groups, stacked.shape[1], -1)


def _from_blocks(
    x: Array, size: tuple[int, ...], strides: tuple[int, ...], pads: list[tuple[int, int]], counts: list[int]
) -> Array:
    """Of blocks of stride × stride pixels, the few that cover a patch."""
    blocks = [-(-k // s) for k, s in zip(size, strides, strict=True)]
    need = [(n + b - 1) * s for n, b, s in zip(counts, blocks, strides, strict=True)]
    around = [(low, want - n - low) for (low, _), want, n in zip(pads, need, x.shape[1:3], strict=True)]
    x = lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *((*pad, 0) for pad in around), (0, 0, 0)])
    tall, wide = (want // s for want, s in zip(need, strides, strict=True))
    x = x.reshape(len(x), tall, strides[0], wide, strides[1], -1).swapaxes(2, 3).reshape(len(x), tall, wide, -1)
    slices = []
    for i, j in product(range(blocks[0]), range(blocks[1])):
        rows, columns = (np.arange(s) + at * s < k for at, s, k in zip((i, j), strides, size, strict=True))
        inside = np.repeat(np.outer(rows, columns).ravel(), x.shape[3] // (strides[0] * strides[1]))
        slices.append(x[:, i : i + counts[0], j : j + counts[1]] * inside.astype(x.dtype))
    return jnp.stack(slices, 3).reshape(len(x), 1, counts[0] * counts[1], -1)


def _order_in_blocks(size: tuple[int, ...], strides: tuple[int, ...], channels: int) -> Int[np.ndarray, ' inputs']:
    """The places of a kernel's numbers among those of the blocks that cover it."""
    row, column, channel = np.meshgrid(*map(np.arange, (*size, channels)), indexing='ij')
    block = row // strides[0] * -(-size[1] // strides[1]) + column // strides[1]
    inside = row % strides[0] * strides[1] + column % strides[1]
    order: np.ndarray = ((block * strides[0] * strides[1] + inside) * channels + channel).ravel()
    return order


def _two(value: int | Sequence[int] | None) -> tuple[int, int]:
    """A number or a pair, as linen takes them, as a pair."""
    rows, columns = np.broadcast_to(np.asarray(1 if value is None else value), 2).tolist()
    return rows, columns


def _pads(
    padding: PaddingLike, shape: tuple[int, ...], reach: tuple[int, ...], strides: tuple[int, ...]
) -> list[tuple[int, int]]:
    if isinstance(padding, str):
        return [(int(low), int(high)) for low, high in lax.padtype_to_pads(shape, reach, strides, padding)]
    each = [padding] * 2 if isinstance(padding, int) else list(padding)
    return [(side, side) if isinstance(side, int) else (side[0], side[1]) for side in each]
