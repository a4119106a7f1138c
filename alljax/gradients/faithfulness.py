"""Tests of an attribution: the answers of the network when the marked pixels are hidden or changed."""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import (
    check_baseline,
    check_counts,
    check_map,
    check_method_result,
    check_not_negative,
)
from alljax.gradients.gradient_attribution import AT_ONCE, logits_of
from alljax.gradients.network_checks import picked, prepare
from alljax.gradients.typing import Apply, AttributionMap, Images, Method, Network, Params, Target


class Curve(NamedTuple):
    """The target's probability while pixels are changed, for each image."""

    area: Float[Array, ' batch']  # under the curve, by trapezoids: 0 to 1
    probability: Float[Array, 'batch steps']


class Change(NamedTuple):
    """The changes of an image, step by step: which pixels, and to what."""

    function: str  # that changes it
    attribution: AttributionMap
    steps: int
    baseline: ArrayLike
    inserts: bool  # from the baseline to the image, or the other way


class Pixels(NamedTuple):
    """Images and the order in which their pixels change."""

    x: Float[Array, 'batch height width channels']
    baseline: Float[Array, 'batch height width channels']
    wanted: Int[Array, ' batch']
    place: Int[Array, 'batch height width']  # of each pixel in the order from the most marked to the least


def deletion(
    apply: Network, params: Params, x: Images, target: Target, attribution: AttributionMap, *, steps: int = 50,
    baseline: ArrayLike = 0.0, batch_size: int | None = None,
) -> Curve:  # fmt: skip
    """The target's probability while pixels become `baseline`, the most marked ones first (Petsiuk et al. 2018).

    `attribution` is the map of an `Attribution`, at the size of the images; channels are summed, and pixels marked
    alike go from the first to the last. At step k of `steps` + 1, the share k / `steps` of the pixels is gone. The
    lower the area under the curve, the better the attribution. `baseline` broadcasts to `x`. ValueError for a map of
    another size.
    """
    change = Change('deletion', attribution, steps, baseline, inserts=False)
    return _curve(apply, params, x, target, change, batch_size)


def insertion(
    apply: Network, params: Params, x: Images, target: Target, attribution: AttributionMap, *, steps: int = 50,
    baseline: ArrayLike = 0.0, batch_size: int | None = None,
) -> Curve:  # fmt: skip
    """The same as `deletion` from `baseline` to the image: the higher the area, the better the attribution."""
    change = Change('insertion', attribution, steps, baseline, inserts=True)
    return _curve(apply, params, x, target, change, batch_size)


def infidelity(
    apply: Network, params: Params, x: Images, target: Target, attribution: AttributionMap, *, key: Key[Array, ''],
    samples: int = 64, sigma: float = 0.1, batch_size: int | None = None,
) -> Float[Array, ' batch']:  # fmt: skip
    """The squared error of the attribution as a linear model of the logit under noise (Yeh et al. 2019, 1901.09392).

    Mean over noise I of (I · attribution − (f(x) − f(x − I)))², I normal with standard deviation `sigma`, in units of
    the input. `attribution` is the map of a gradient (not times the input), of the shape of `x`. In squared logits.
    ValueError for another shape.
    """
    check_counts('infidelity', samples=samples, batch_size=batch_size)
    check_not_negative('infidelity', sigma=sigma)
    function, wanted = prepare('infidelity', apply, params, x, target)
    check_map('infidelity', attribution, x=x)
    if attribution.shape != x.shape:
        raise ValueError(
            f'infidelity: the attribution is {attribution.shape}, the images are {x.shape}; expected the same, as the '
            'gradient to each input has'
        )
    logits = partial(logits_of, function, params)
    whole = batching.rows(logits, batch_size, x, wanted)
    errors = jnp.zeros(len(x), x.dtype)
    for sample in range(samples):
        noise = sigma * jax.random.normal(jax.random.fold_in(key, sample), x.shape, x.dtype)
        fall = whole - batching.rows(logits, batch_size, x - noise, wanted)
        errors += ((noise * attribution).sum((1, 2, 3)) - fall) ** 2
    return errors / samples


def max_sensitivity(
    method: Method, apply: Network, params: Params, x: Images, target: Target, *, key: Key[Array, ''],
    radius: float = 0.02, samples: int = 10, **options: Any,
) -> Float[Array, ' batch']:  # fmt: skip
    """The largest relative change of a method's map when the image changes by up to `radius` in each value.

    Yeh et al. 2019 (arXiv:1901.09392): the maximum over uniform noise of |method(x + noise) − method(x)| / |method(x)|.
    `options` go to the method.
    """
    check_counts('max_sensitivity', samples=samples)
    check_not_negative('max_sensitivity', radius=radius)
    prepare('max_sensitivity', apply, params, x, target)

    def flat(x: Images) -> Array:
        found = method(apply, params, x, target, **options)
        return jnp.asarray(check_method_result('max_sensitivity', found, x).map).reshape(len(x), -1)

    still = flat(x)
    worst = jnp.zeros(len(x), still.dtype)
    for sample in range(samples):
        noise = jax.random.uniform(jax.random.fold_in(key, sample), x.shape, x.dtype, -radius, radius)
        change = jnp.linalg.norm(flat(x + noise) - still, axis=1) / jnp.linalg.norm(still, axis=1)
        worst = jnp.maximum(worst, change)
    return worst


def by_pixel(attribution: AttributionMap) -> Float[Array, 'batch height width']:
    """One number for each pixel: channels are summed, where there are any."""
    pixels = jnp.asarray(attribution)
    return pixels.sum(3) if pixels.ndim == 4 else pixels


def _curve(apply: Network, params: Params, x: Images, target: Target, change: Change, batch_size: int | None) -> Curve:
    check_counts(change.function, steps=change.steps, batch_size=batch_size)
    function, wanted = prepare(change.function, apply, params, x, target)
    check_map(change.function, change.attribution, x=x)
    check_baseline(change.function, change.baseline, x)
    place = _places(by_pixel(change.attribution))
    base = jnp.broadcast_to(jnp.asarray(change.baseline, x.dtype), x.shape)
    pixels = x.shape[1] * x.shape[2]

    def of_pairs(image: np.ndarray, step: np.ndarray) -> Array:
        changed = jnp.asarray(np.round(step * pixels / change.steps).astype(np.int32))
        images = Pixels(jnp.asarray(x[image]), base[image], wanted[image], place[image])
        probability: Array = _probability(function, params, images, changed, change.inserts)
        return probability

    curve = batching.pairs(of_pairs, len(x), change.steps + 1, batch_size or max(AT_ONCE, len(x)))
    return Curve(jnp.trapezoid(curve, dx=1 / change.steps, axis=1), curve)


@jax.jit
def _places(marks: Float[Array, 'batch height width']) -> Int[Array, 'batch height width']:
    """The place of each pixel in the order from the most marked to the least."""
    order = jnp.argsort(-marks.reshape(len(marks), -1), axis=1, stable=True)
    return jnp.argsort(order, axis=1).reshape(marks.shape)


@partial(jax.jit, static_argnames=('apply', 'inserts'))
def _probability(
    apply: Apply, params: Params, images: Pixels, changed: Int[Array, ' batch'], inserts: bool
) -> Float[Array, ' batch']:
    """The probability of each image's class when so many of its pixels are changed."""
    gone = (images.place < changed[:, None, None])[..., None]
    logits = apply(params, jnp.where(gone != inserts, images.baseline, images.x))
    return picked(jax.nn.softmax(logits), images.wanted)
