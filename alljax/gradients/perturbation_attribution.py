"""Attribution without gradients: parts of the image are hidden, and the network is asked again."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_counts, check_finite, check_images
from alljax.gradients.gradient_attribution import AT_ONCE, logits_of
from alljax.gradients.network_checks import picked, prepare
from alljax.gradients.typing import Apply, Attribution, Images, Network, Params, Target

Pixels = Float[Array, 'batch height width']
Scalar = float | Float[Array, '']


class Asked(NamedTuple):
    """Images, and the class of each that the network is asked about."""

    x: Float[Array, 'batch height width channels']
    wanted: Int[Array, ' batch']


def occlusion(
    apply: Network, params: Params, x: Images, target: Target, *, window: int = 16, stride: int = 8,
    baseline: float = 0.0, batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """The fall of the target's logit where a square of `window` pixels is set to `baseline` (Zeiler & Fergus 2013).

    The square moves by `stride` pixels; a pixel gets the mean over the squares that covered it. The last ones are cut
    off at the border. The map is [batch, height, width], in units of the logit. `batch_size` counts images at once,
    hidden parts and all. ValueError for squares that leave pixels uncovered.
    """
    check_images('occlusion', x)
    check_counts('occlusion', batch_size=batch_size)
    check_finite('occlusion', 'baseline', baseline)
    if not 1 <= stride <= window <= min(x.shape[1:3]):
        raise ValueError(
            f'occlusion: window is {window} and stride {stride}: expected 1 ≤ stride ≤ window ≤ '
            f'{min(x.shape[1:3])}, the image'
        )
    function, wanted = prepare('occlusion', apply, params, x, target)
    places = [np.arange(-(-(length - window) // stride) + 1) * stride for length in x.shape[1:3]]
    corners = np.stack(np.meshgrid(*places, indexing='ij'), -1).reshape(-1, 2)
    whole = batching.rows(partial(logits_of, function, params), batch_size, x, wanted)
    logit = partial(_hidden, function, params, window=window, baseline=baseline)
    falls = whole[:, None] - _for_each_change(logit, x, wanted, corners, batch_size)
    rows, columns = ((places[axis][:, None] <= at) & (at < places[axis][:, None] + window)
                     for axis, at in enumerate(map(np.arange, x.shape[1:3])))  # fmt: skip
    down, across = jnp.asarray(rows, x.dtype), jnp.asarray(columns, x.dtype)
    sums = jnp.einsum('nij,ih,jw->nhw', falls.reshape(len(x), *map(len, places)), down, across)
    return Attribution(sums / (down.sum(0)[:, None] * across.sum(0)))


def rise(
    apply: Network, params: Params, x: Images, target: Target, *, key: Key[Array, ''], masks: int = 1000,
    cells: int = 7, keep: float = 0.5, baseline: float = 0.0, batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """The target's probability under random masks, as a mean over the masks that show a pixel (Petsiuk et al. 2018).

    A mask is a coarse grid of `cells`² squares, each shown with probability `keep`, enlarged smoothly and shifted at
    random (arXiv:1806.07421); what is hidden becomes `baseline`. Every image gets the same masks. The map is [batch,
    height, width], a probability.
    """
    check_counts('rise', masks=masks, cells=cells, batch_size=batch_size)
    check_finite('rise', 'baseline', baseline)
    if not 0 < keep <= 1:
        raise ValueError(f'rise: keep is {keep}; expected a probability above 0')
    function, wanted = prepare('rise', apply, params, x, target)
    drawn = _masks(key, masks, cells, keep, x.shape[1:3], x.dtype)
    probability = partial(_masked, function, params, baseline=baseline)
    probabilities = _for_each_change(probability, x, wanted, drawn, batch_size)
    return Attribution(jnp.einsum('nm,mhw->nhw', probabilities, drawn) / (masks * keep))


def _for_each_change(
    score: Callable[[Asked, Array], Array], x: Images, wanted: Int[Array, ' batch'], changes: Array | np.ndarray,
    batch_size: int | None,
) -> Float[Array, 'batch changes']:  # fmt: skip
    """The score of each image under each change."""
    changes = jnp.asarray(changes)

    def of_pairs(image: np.ndarray, change: np.ndarray) -> Array:
        return score(Asked(jnp.asarray(x[image]), wanted[image]), changes[change])

    return batching.pairs(of_pairs, len(x), len(changes), batch_size or max(AT_ONCE, len(x)))


@partial(jax.jit, static_argnames=('apply', 'window'))
def _hidden(
    apply: Apply, params: Params, asked: Asked, corner: Int[Array, 'batch 2'], window: int, baseline: Scalar
) -> Float[Array, ' batch']:
    """The logit of each image with a square hidden."""
    height, width = asked.x.shape[1:3]
    row, column = jnp.arange(height)[:, None], jnp.arange(width)
    top, left = corner[:, 0, None, None], corner[:, 1, None, None]
    inside = (row >= top) & (row < top + window) & (column >= left) & (column < left + window)
    logits = apply(params, jnp.where(inside[..., None], baseline, asked.x))
    return picked(logits, asked.wanted)


@partial(jax.jit, static_argnums=0)
def _masked(apply: Apply, params: Params, asked: Asked, mask: Pixels, baseline: Scalar) -> Float[Array, ' batch']:
    """The probability of each image's class under a mask."""
    logits = apply(params, baseline + mask[..., None] * (asked.x - baseline))
    return picked(jax.nn.softmax(logits), asked.wanted)


@partial(jax.jit, static_argnums=(1, 2, 4, 5))
def _masks(
    key: Key[Array, ''], count: int, cells: int, keep: Scalar, size: tuple[int, int], dtype: np.dtype
) -> Float[Array, 'count height width']:
    height, width = size
    shown, shifts = jax.random.split(key)
    grid = jax.random.bernoulli(shown, keep, (count, cells + 1, cells + 1)).astype(dtype)
    tall, wide = -(-height // cells), -(-width // cells)

    def one(grid: Array, shift: Array) -> Array:
        large = jax.image.resize(grid, ((cells + 1) * tall, (cells + 1) * wide), 'bilinear')
        return jax.lax.dynamic_slice(large, shift, (height, width))

    return jax.vmap(one)(grid, jax.random.randint(shifts, (count, 2), 0, jnp.array([tall, wide])))
