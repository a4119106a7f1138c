"""Attribution without gradients: parts of the image are hidden, and the network is asked again."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import (
    check_counts,
    check_finite,
    check_inputs,
    check_score,
)
from alljax.gradients.gradient_attribution import logits_of
from alljax.gradients.network_checks import picked, prepare, scored
from alljax.gradients.positions import over_channels, positions
from alljax.gradients.typing import Apply, Attribution, Inputs, Network, Params, Score, Target

Scalar = float | Float[Array, '']
Mask = Float[Array, 'batch ...']  # a number for each position of each input


class Asked(NamedTuple):
    """Inputs, and the class of each that the network is asked about."""

    x: Float[Array, 'batch ...']
    wanted: Int[Array, ' batch']


def occlusion(
    apply: Network, params: Params, x: Inputs, target: Target, *, window: int = 16, stride: int = 8,
    baseline: float = 0.0, batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """The fall of the target's logit where a square of `window` pixels is set to `baseline` (Zeiler & Fergus 2013).

    The square moves by `stride` pixels; a pixel gets the mean over the squares that covered it. The last ones are cut
    off at the border. The map is [batch, height, width], in units of the logit. Of inputs of another rank, `window` of
    the positions are hidden along each axis: [batch, length] of sequences [batch, length, channels], and [batch,
    features] of tables, where a window of 1 hides one feature. `batch_size` counts inputs at once, hidden parts and
    all. Can be jitted. ValueError for squares that leave pixels uncovered.

    >>> gradients.occlusion(apply, params, x, y, window=4, stride=4).map.shape
    (4, 8, 8)
    """
    check_inputs('occlusion', x)
    check_counts('occlusion', batch_size=batch_size)
    check_finite('occlusion', 'baseline', baseline)
    lengths = positions(x.shape)[1:]
    if not (lengths and 1 <= stride <= window <= min(lengths)):
        raise ValueError(
            f'occlusion: window is {window} and stride {stride}: expected 1 ≤ stride ≤ window ≤ '
            f'{min(lengths, default=0)}, the inputs'
        )
    function, wanted = prepare('occlusion', apply, params, x, target)
    places = [np.arange(-(-(length - window) // stride) + 1) * stride for length in lengths]
    corners = np.stack(np.meshgrid(*places, indexing='ij'), -1).reshape(-1, len(lengths))
    whole = batching.rows(partial(logits_of, function, params), batch_size, x, wanted)
    logit = partial(_hidden, function, params, window=window, baseline=baseline)
    sums = whole[:, None] - _for_each_change(logit, x, wanted, corners, batch_size)
    sums, counts = sums.reshape(len(x), *map(len, places)), jnp.ones((), x.dtype)
    for axis, (place, length) in enumerate(zip(places, lengths, strict=True)):
        at = np.arange(length)
        covers = jnp.asarray((place[:, None] <= at) & (at < place[:, None] + window), x.dtype)
        sums = jnp.moveaxis(jnp.tensordot(sums, covers, ((axis + 1,), (0,))), -1, axis + 1)
        counts = counts[..., None] * covers.sum(0)
    return Attribution(sums / counts)


def rise(
    apply: Network, params: Params, x: Inputs, target: Target, *, key: Key[Array, ''], masks: int = 1000,
    cells: int = 7, keep: float = 0.5, baseline: float = 0.0, score: Score = 'probability',
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """The target's probability under random masks, as a mean over the masks that show a pixel (Petsiuk et al. 2018).

    A mask is a coarse grid of `cells`² squares, each shown with probability `keep`, enlarged smoothly and shifted at
    random (arXiv:1806.07421); what is hidden becomes `baseline`. Every image gets the same masks. The map is [batch,
    height, width], a probability; with `score='output'`, and of a network of one output, in units of the output. Of
    inputs of another rank the grid has as many axes as they have positions: [batch, length] of sequences [batch,
    length, channels], [batch, features] of tables. Can be jitted.

    >>> gradients.rise(apply, params, x, y, key=key, masks=4, cells=2).map.shape
    (4, 8, 8)
    """
    check_score('rise', score)
    check_counts('rise', masks=masks, cells=cells, batch_size=batch_size)
    check_finite('rise', 'baseline', baseline)
    if not 0 < keep <= 1:
        raise ValueError(f'rise: keep is {keep}; expected a probability above 0')
    function, wanted = prepare('rise', apply, params, x, target)
    drawn = _masks(key, masks, cells, keep, positions(x.shape)[1:], x.dtype)
    of_masks = partial(_masked, function, params, baseline=baseline, score=score)
    scores = _for_each_change(of_masks, x, wanted, drawn, batch_size)
    return Attribution(jnp.tensordot(scores, drawn, 1) / (masks * keep))


def _for_each_change(
    score: Callable[[Asked, Array], Array], x: Inputs, wanted: Int[Array, ' batch'], changes: Array | np.ndarray,
    batch_size: int | None,
) -> Float[Array, 'batch changes']:  # fmt: skip
    """The score of each image under each change."""
    changes = jnp.asarray(changes)

    def of_pairs(image: np.ndarray, change: np.ndarray) -> Array:
        return score(Asked(batching.take(x, image), wanted[image]), changes[change])

    return batching.pairs(of_pairs, len(x), len(changes), batch_size)


@partial(jax.jit, static_argnames=('apply', 'window'))
def _hidden(
    apply: Apply, params: Params, asked: Asked, corner: Int[Array, 'batch axes'], window: int, baseline: Scalar
) -> Float[Array, ' batch']:
    """The logit of each input with a square hidden."""
    shape = positions(asked.x.shape)
    inside = jnp.ones(shape, bool)
    for axis, length in enumerate(shape[1:]):
        at, first = jnp.arange(length), corner[:, axis, None]
        along = (at >= first) & (at < first + window)
        inside &= along.reshape(len(along), *[length if other == axis else 1 for other in range(len(shape) - 1)])
    return picked(apply(params, jnp.where(over_channels(inside, asked.x), baseline, asked.x)), asked.wanted)


@partial(jax.jit, static_argnames=('apply', 'score'))
def _masked(
    apply: Apply, params: Params, asked: Asked, mask: Mask, baseline: Scalar, score: Score
) -> Float[Array, ' batch']:  # fmt: skip
    """The score of each input's class under a mask."""
    logits = apply(params, baseline + over_channels(mask, asked.x) * (asked.x - baseline))
    return scored(logits, asked.wanted, score)


@partial(jax.jit, static_argnums=(1, 2, 4, 5))
def _masks(
    key: Key[Array, ''], count: int, cells: int, keep: Scalar, size: tuple[int, ...], dtype: np.dtype
) -> Float[Array, 'count ...']:
    shown, shifts = jax.random.split(key)
    grid = jax.random.bernoulli(shown, keep, (count, *[cells + 1] * len(size))).astype(dtype)
    sides = [-(-length // cells) for length in size]

    def one(grid: Array, shift: Array) -> Array:
        large = jax.image.resize(grid, [(cells + 1) * side for side in sides], 'bilinear')
        return jax.lax.dynamic_slice(large, shift, size)

    return jax.vmap(one)(grid, jax.random.randint(shifts, (count, len(size)), 0, jnp.array(sides)))
