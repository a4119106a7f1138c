"""Tests of an attribution that hide pixels without a trace (ROAD), or superpixel by superpixel (IROF)."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import (
    check_baseline,
    check_counts,
    check_inputs,
    check_map,
    check_not_negative,
    check_score,
)
from alljax.gradients.image_segments import Segments, resolve_segments
from alljax.gradients.network_checks import prepare, scored
from alljax.gradients.positions import by_position, over_channels
from alljax.gradients.typing import Apply, AttributionMap, Inputs, Network, Params, Score, Target

PERCENTAGES = tuple(range(10, 100, 10))
NEIGHBORS = {  # offsets and weights, of the paper
    (1, 1): 1 / 12, (1, -1): 1 / 12, (-1, 1): 1 / 12, (-1, -1): 1 / 12, (0, 1): 1 / 6, (0, -1): 1 / 6, (1, 0): 1 / 6,
    (-1, 0): 1 / 6,
}  # fmt: skip


class Road(NamedTuple):
    """The answers of the network for images whose most marked pixels were filled in from their neighbors."""

    correct: Float[Array, 'batch percentages']  # 1 where the target is still predicted; its mean is quantus' score
    probability: Float[Array, 'batch percentages']  # of the target


class Irof(NamedTuple):
    """The target's score while superpixels are hidden, the most marked ones first."""

    area: Float[Array, ' batch']  # over the curve of shares, from 0 to 1 of the superpixels: higher is better
    share: Float[Array, 'batch steps']  # of the score of the whole image, from 1 on; NaN beyond an image's last part


def road(
    apply: Network, params: Params, x: Inputs, target: Target, attribution: AttributionMap, *, key: Key[Array, ''],
    percentages: Sequence[int | float] = PERCENTAGES, noise: float = 0.01, batch_size: int | None = None,
) -> Road:  # fmt: skip
    """Remove and debias (Rong et al. 2022, arXiv:2202.00449): what is predicted without the most marked pixels.

    At each percentage, so many of the pixels become weighted means of their neighbors, all at once, and noise of that
    standard deviation is added: what was removed cannot be seen by its outline, unlike the baseline of `deletion`. The
    lower the scores, the better the attribution. The map is at the size of the images, its channels summed; inputs of
    another rank than that of images are refused. Can be jitted. ValueError for percentages that are not above 0 and
    below 100.

    >>> found = gradients.saliency(apply, params, x, y)
    >>> gradients.road(apply, params, x, y, found.map, key=key, percentages=(10, 50)).correct.shape
    (4, 2)
    """
    check_inputs('road', x, images=True)
    check_counts('road', batch_size=batch_size)
    check_not_negative('road', noise=noise)
    if not percentages or not all(0 < part < 100 for part in percentages):
        raise ValueError(f'road: percentages are {tuple(percentages)}; expected numbers above 0 and below 100')
    function, wanted = prepare('road', apply, params, x, target)
    check_map('road', attribution, x=x)
    marks = by_position(attribution, x.ndim)
    order = jnp.argsort(-marks.reshape(len(x), -1), axis=1, stable=True)
    place = jnp.argsort(order, axis=1).reshape(marks.shape)
    pixels = int(np.prod(marks.shape[1:]))
    counts = np.array([int(pixels * part / 100) for part in percentages])
    drawn = jax.random.normal(key, x.shape, x.dtype) * noise

    def of_pairs(image: np.ndarray, step: np.ndarray) -> Array:
        gone = place[image] < jnp.asarray(counts[step])[:, None, None]
        filled = impute(batching.take(x, image), gone)
        logits = _logits(function, params, jnp.where(gone[..., None], filled + drawn[image], filled))
        correct = (_predicted(logits) == wanted[image]).astype(x.dtype)
        return jnp.stack([correct, scored(logits, wanted[image], 'probability')], 1)

    found = batching.pairs(of_pairs, len(x), len(counts), batch_size)
    return Road(found[..., 0], found[..., 1])


def irof(
    apply: Network, params: Params, x: Inputs, target: Target, attribution: AttributionMap, *,
    segments: Segments | None = None, count: int = 64, baseline: ArrayLike | None = None,
    score: Score = 'probability', batch_size: int | None = None,
) -> Irof:  # fmt: skip
    """Iterative removal of features (Rieger & Hansen 2020, arXiv:2003.08747): whole superpixels, by their mean mark.

    Part by part becomes `baseline`, by default the mean color of its image, and the score of the target is divided by
    that of the whole image. The area over this curve is high for a good attribution. `segments` and `count` are those
    of `superpixel_ablation`; quantus' number is the segments less the trapezoids of `share[:, 1:]`. The map is at the
    size of the images, its channels summed; given `segments`, inputs may be of any rank. Can be jitted where they are
    closed over.

    >>> found = gradients.saliency(apply, params, x, y)
    >>> gradients.irof(apply, params, x, y, found.map, count=4).share.shape
    (4, 5)
    """
    check_counts('irof', count=count, batch_size=batch_size)
    check_score('irof', score)
    function, wanted = prepare('irof', apply, params, x, target)
    check_map('irof', attribution, x=x)
    x = jnp.asarray(x)
    if baseline is None:
        baseline = x.mean(tuple(range(1, x.ndim - 1)), keepdims=True) if x.ndim > 2 else 0.0
    check_baseline('irof', baseline, x)
    parts, number = resolve_segments('irof', x, segments, count)
    base = jnp.broadcast_to(jnp.asarray(baseline, x.dtype), x.shape)
    rank, present = _ranked(by_position(attribution, x.ndim), parts, number)

    def of_pairs(image: np.ndarray, step: np.ndarray) -> Array:
        gone = rank[image] < jnp.asarray(step).reshape(-1, *[1] * (rank.ndim - 1))
        images = jnp.where(over_channels(gone, x), base[image], batching.take(x, image))
        return scored(_logits(function, params, images), wanted[image], score)

    scores = batching.pairs(of_pairs, len(x), number + 1, batch_size)
    steps = jnp.arange(number + 1)
    share = jnp.where(steps <= present[:, None], scores / scores[:, :1], jnp.nan)
    inside = jnp.where(steps < present[:, None], (share + jnp.roll(share, -1, axis=1)) / 2, 0)
    return Irof(1 - inside.sum(1) / present, share)


@jax.jit
def impute(
    x: Float[Array, 'batch height width channels'], gone: Bool[Array, 'batch height width']
) -> Float[Array, 'batch height width channels']:
    """Images whose gone pixels are the weighted means of their eight neighbors, gone ones too, found together.

    The linear system of Rong et al. 2022 (section 4.2), symmetric and positive, by conjugate gradients. Sums of moved
    images, because XLA:CPU computes convolutions within loops on one core.
    """
    inside = jnp.asarray(gone, x.dtype)[..., None]
    whole = _neighbors(jnp.ones_like(inside))

    def system(values: Array) -> Array:
        return inside * (whole * values - _neighbors(inside * values)) + (1 - inside) * values

    known = (1 - inside) * x
    right = inside * _neighbors(known)
    tolerance = 1e-6 if x.dtype == jnp.float32 else 1e-12
    start = inside * known.sum((1, 2), keepdims=True) / (1 - inside).sum((1, 2), keepdims=True)
    filled, _ = jax.scipy.sparse.linalg.cg(system, right, start, tol=tolerance, maxiter=2000)
    whole_again: Array = known + inside * filled
    return whole_again


def _neighbors(values: Float[Array, 'batch height width channels']) -> Float[Array, 'batch height width channels']:
    """The weighted sum of the eight neighbors of each pixel, as far as there are some."""
    height, width = values.shape[1:3]
    padded = jnp.pad(values, [(0, 0), (1, 1), (1, 1), (0, 0)])
    total = jnp.zeros_like(values)
    for (down, across), weight in NEIGHBORS.items():
        total += weight * padded[:, 1 + down : 1 + down + height, 1 + across : 1 + across + width]
    return total


@partial(jax.jit, static_argnums=2)
def _ranked(
    marks: Float[Array, 'batch ...'], parts: Int[Array, 'batch ...'], number: int
) -> tuple[Int[Array, 'batch ...'], Int[Array, ' batch']]:
    """The place of each position's part in the order from the most marked to the least, and the number of parts."""
    flat, of_part = marks.reshape(len(marks), -1), parts.reshape(len(parts), -1)

    def sums(values: Array, part: Array) -> Array:
        return jnp.zeros(number, values.dtype).at[part].add(values)

    sizes = jax.vmap(sums)(jnp.ones_like(flat), of_part)
    means = jnp.where(sizes > 0, jax.vmap(sums)(flat, of_part) / jnp.maximum(sizes, 1), -jnp.inf)
    order = jnp.argsort(jnp.argsort(-means, axis=1, stable=True), axis=1)
    return jnp.take_along_axis(order, of_part, 1).reshape(parts.shape), (sizes > 0).sum(1)


@partial(jax.jit, static_argnums=0)
def _logits(apply: Apply, params: Params, x: Array) -> Float[Array, 'batch ...']:
    logits: Array = apply(params, x)
    return logits


def _predicted(logits: Float[Array, 'batch ...']) -> Int[Array, ' batch']:
    """The predicted class; of a network of one output, the only one."""
    return logits.argmax(1) if logits.ndim > 1 else jnp.zeros(len(logits), int)
