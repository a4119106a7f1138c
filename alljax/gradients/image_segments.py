"""Superpixels, and attribution by hiding one of them at a time."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from alljax.gradients import batching
from alljax.gradients.argument_checks import ArgumentTypeError, check_baseline, check_counts, check_inputs, known
from alljax.gradients.gradient_attribution import logits_of
from alljax.gradients.network_checks import prepare
from alljax.gradients.positions import over_channels, positions
from alljax.gradients.typing import Attribution, Inputs, Network, Params, Target

ROUNDS = 10  # of moving the centers, as published

Segments = Int[Array, '_ ...'] | Int[np.ndarray, '_ ...']  # the number of the part that each position belongs to


def superpixels(x: Inputs, *, count: int = 64, compactness: float = 0.3) -> Int[Array, 'batch height width']:
    """About `count` superpixels of each image, by SLIC (Achanta et al. 2012, 10.1109/TPAMI.2012.120).

    The number, from 0, of the part that each pixel belongs to: k-means of colors and places, from centers in a grid
    of the image's proportions. Colors are taken as they are, as parts of their range in the image, and a distance of
    one cell of the grid counts as much as a difference in color of `compactness`. Every pixel joins the nearest
    center, and parts may have islands. Inputs of another rank
    than that of images are refused. Can be jitted.

    >>> gradients.superpixels(x, count=4).shape
    (4, 8, 8)
    """
    check_inputs('superpixels', x, images=True)
    check_counts('superpixels', count=count)
    if not compactness > 0:
        raise ValueError(f'superpixels: compactness is {compactness}; expected a number above 0')
    found: Array = _slic(jnp.asarray(x), cells(count, x.shape[1], x.shape[2]), compactness)
    return found


def superpixel_ablation(
    apply: Network, params: Params, x: Inputs, target: Target, *, segments: Segments | None = None, count: int = 64,
    baseline: ArrayLike = 0.0, batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """The fall of the target's logit where one superpixel is set to `baseline`, at each of its pixels.

    `segments` numbers the part that each position belongs to, from 0, as `superpixels` does: one for all inputs or one
    for each; by default `count` superpixels of each image. The map is of the positions, [batch, height, width] of
    images, in units of the logit; given `segments`, inputs may be of any rank. `baseline` is a number or an array that
    broadcasts to `x`; `batch_size` counts inputs at once. Can be jitted where `segments` are closed over. ValueError
    for segments of another size.

    >>> gradients.superpixel_ablation(apply, params, x, y, count=4).map.shape
    (4, 8, 8)
    """
    check_counts('superpixel_ablation', count=count, batch_size=batch_size)
    function, wanted = prepare('superpixel_ablation', apply, params, x, target)
    check_baseline('superpixel_ablation', baseline, x)
    parts, number = resolve_segments('superpixel_ablation', x, segments, count)
    base = jnp.broadcast_to(jnp.asarray(baseline, x.dtype), x.shape)
    whole = batching.rows(partial(logits_of, function, params), batch_size, x, wanted)

    def logits(image: np.ndarray, part: np.ndarray) -> Array:
        hidden = parts[image] == jnp.asarray(part).reshape(-1, *[1] * (parts.ndim - 1))
        shown = batching.take(x, image)
        changed = jnp.where(over_channels(hidden, shown), base[image], shown)
        found: Array = logits_of(function, params, changed, wanted[image])
        return found

    falls = whole[:, None] - batching.pairs(logits, len(x), number, batch_size)
    return Attribution(jnp.take_along_axis(falls, parts.reshape(len(x), -1), 1).reshape(parts.shape))


def resolve_segments(
    function: str, x: Inputs, segments: Segments | None, count: int
) -> tuple[Int[Array, 'batch ...'], int]:  # fmt: skip
    """The segments of each input's positions, and how many there are at most; superpixels where none are given."""
    if segments is None:
        if len(x.shape) != 4:
            raise ValueError(f'{function}: x has shape {x.shape}; superpixels are of images; give segments')
        return superpixels(x, count=count), int(np.prod(cells(count, x.shape[1], x.shape[2])))
    if not hasattr(segments, 'dtype') or not jnp.issubdtype(segments.dtype, jnp.integer):
        raise ArgumentTypeError(f'{function}: segments are {getattr(segments, "dtype", type(segments).__name__)}; '
                                'expected integers, from 0')  # fmt: skip
    places = positions(x.shape)
    if tuple(segments.shape) not in (places, places[1:]):
        raise ValueError(f'{function}: segments are {tuple(segments.shape)}; expected {places} or {places[1:]}')
    if not known(segments):
        raise ValueError(f'{function}: segments are traced, so their number is not known; close over them')
    numbers = np.asarray(segments)
    if numbers.min() < 0:
        raise ValueError(f'{function}: segments go down to {numbers.min()}; expected numbers from 0')
    return jnp.broadcast_to(jnp.asarray(segments), places), int(numbers.max()) + 1


def cells(count: int, height: int, width: int) -> tuple[int, int]:
    """The rows and columns of a grid of about `count` cells, as square as the image allows."""
    rows = min(max(1, round((count * height / width) ** 0.5)), height)
    return rows, min(max(1, round(count / rows)), width)


@partial(jax.jit, static_argnums=1)
def _slic(
    x: Float[Array, 'batch height width channels'], grid: tuple[int, int], compactness: float | Float[Array, '']
) -> Int[Array, 'batch height width']:
    height, width = x.shape[1:3]
    down, across = (jnp.arange(length) + 0.5 for length in (height, width))
    places = jnp.stack(jnp.meshgrid(down * grid[0] / height, across * grid[1] / width, indexing='ij'), -1)
    first = [
        ((np.arange(cells) + 0.5) * length / cells).astype(int)
        for cells, length in zip(grid, (height, width), strict=True)
    ]

    def of_image(image: Array) -> Array:
        spread = image.max() - image.min()
        colors = image / jnp.where(spread > 0, spread, 1) / compactness
        points = jnp.concatenate([colors, places.astype(image.dtype)], -1)
        centers = points[first[0][:, None], first[1]].reshape(-1, points.shape[-1])
        points = points.reshape(-1, points.shape[-1])

        def nearest(centers: Array) -> Array:
            return ((points**2).sum(1)[:, None] - 2 * points @ centers.T + (centers**2).sum(1)).argmin(1)

        def moved(_: int | Array, centers: Array) -> Array:
            chosen = jax.nn.one_hot(nearest(centers), len(centers), dtype=points.dtype)
            size = chosen.sum(0)[:, None]
            return jnp.where(size > 0, chosen.T @ points / jnp.maximum(size, 1), centers)

        return nearest(jax.lax.fori_loop(0, ROUNDS, moved, centers)).reshape(height, width)

    segments: Array = jax.lax.map(of_image, x)
    return segments
