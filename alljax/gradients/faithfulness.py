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
    check_not_negative,
    check_score,
)
from alljax.gradients.gradient_attribution import logits_of
from alljax.gradients.network_checks import prepare, scored
from alljax.gradients.noisy_maps import asked_of, noisy_maps
from alljax.gradients.positions import by_position, over_channels
from alljax.gradients.typing import Apply, AttributionMap, Inputs, Method, Network, Params, Score, Target


class Curve(NamedTuple):
    """The target's score while pixels are changed, for each image."""

    area: Float[Array, ' batch']  # under the curve, by trapezoids: 0 to 1, if it is of probabilities
    probability: Float[Array, 'batch steps']  # or the output, if that is the score


class Change(NamedTuple):
    """The changes of an image, step by step: which pixels, and to what."""

    function: str  # that changes it
    attribution: AttributionMap
    steps: int
    baseline: ArrayLike
    inserts: bool  # from the baseline to the image, or the other way
    score: Score


class Pixels(NamedTuple):
    """Inputs and the order in which their positions, pixels of images, change."""

    x: Float[Array, 'batch ...']
    baseline: Float[Array, 'batch ...']
    wanted: Int[Array, ' batch']
    place: Int[Array, 'batch ...']  # of each pixel in the order from the most marked to the least


def deletion(
    apply: Network, params: Params, x: Inputs, target: Target, attribution: AttributionMap, *, steps: int = 50,
    baseline: ArrayLike = 0.0, score: Score = 'probability', batch_size: int | None = None,
) -> Curve:  # fmt: skip
    """The target's probability while pixels become `baseline`, the most marked ones first (Petsiuk et al. 2018).

    `attribution` is the map of an `Attribution`, at the size of the images; channels are summed, and pixels marked
    alike go from the first to the last. At step k of `steps` + 1, the share k / `steps` of the pixels is gone. The
    lower the area under the curve, the better the attribution. `baseline` broadcasts to `x`. Of inputs of another rank
    the map is of their positions, with channels or without, or of the features of a table; `score='output'` follows the
    output instead of the probability, as it does where there is only one. Can be jitted. ValueError for a map of
    another size.

    >>> found = gradients.saliency(apply, params, x, y)
    >>> gradients.deletion(apply, params, x, y, found.map, steps=4).probability.shape
    (4, 5)
    """
    change = Change('deletion', attribution, steps, baseline, inserts=False, score=score)
    return _curve(apply, params, x, target, change, batch_size)


def insertion(
    apply: Network, params: Params, x: Inputs, target: Target, attribution: AttributionMap, *, steps: int = 50,
    baseline: ArrayLike = 0.0, score: Score = 'probability', batch_size: int | None = None,
) -> Curve:  # fmt: skip
    """The same as `deletion` from `baseline` to the image: the higher the area, the better the attribution.

    Inputs of any rank, as for `deletion`. Can be jitted.

    >>> found = gradients.saliency(apply, params, x, y)
    >>> gradients.insertion(apply, params, x, y, found.map, steps=4).area.shape
    (4,)
    """
    change = Change('insertion', attribution, steps, baseline, inserts=True, score=score)
    return _curve(apply, params, x, target, change, batch_size)


def infidelity(
    apply: Network, params: Params, x: Inputs, target: Target, attribution: AttributionMap, *, key: Key[Array, ''],
    samples: int = 64, sigma: float = 0.1, batch_size: int | None = None,
) -> Float[Array, ' batch']:  # fmt: skip
    """The squared error of the attribution as a linear model of the logit under noise (Yeh et al. 2019, 1901.09392).

    Mean over noise I of (I · attribution − (f(x) − f(x − I)))², I normal with standard deviation `sigma`, in units of
    the input. `attribution` is the map of a gradient (not times the input), of the shape of `x`, of any rank. In
    squared logits. Can be jitted. ValueError for another shape.

    >>> found = gradients.saliency(apply, params, x, y)
    >>> gradients.infidelity(apply, params, x, y, found.map, key=key, samples=4).shape
    (4,)
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
    x, attribution = jnp.asarray(x), jnp.asarray(attribution)
    logits = partial(logits_of, function, params)
    whole = batching.rows(logits, batch_size, x, wanted)
    errors, size = jnp.zeros(len(x), x.dtype), batching.copies_at_once(len(x), samples, batch_size)
    for start in range(0, samples, size):
        count = min(size, samples - start)
        noisy, expected = _noisy(x, attribution, key, start + jnp.arange(size), sigma)
        fall = whole - batching.rows(logits, batch_size, noisy, jnp.tile(wanted, size)).reshape(size, -1)
        errors += ((expected - fall)[:count] ** 2).sum(0)
    return errors / samples


@jax.jit
def _noisy(
    x: Float[Array, 'batch ...'], attribution: Float[Array, 'batch ...'], key: Key[Array, ''],
    samples: Int[Array, ' samples'], sigma: float | Float[Array, ''],
) -> tuple[Float[Array, 'rows ...'], Float[Array, 'samples batch']]:  # fmt: skip
    """The inputs less each sample of noise, in one row, and the fall of the logit that the attribution expects."""

    def draw(sample: Int[Array, '']) -> Array:
        return jax.random.normal(jax.random.fold_in(key, sample), x.shape, x.dtype)

    noise: Array = jax.vmap(draw)(samples) * sigma
    return (x - noise).reshape(-1, *x.shape[1:]), (noise * attribution).sum(tuple(range(2, noise.ndim)))


def max_sensitivity(
    method: Method, apply: Network, params: Params, x: Inputs, target: Target, *, key: Key[Array, ''],
    radius: float = 0.02, samples: int = 10, **options: Any,
) -> Float[Array, ' batch']:  # fmt: skip
    """The largest relative change of a method's map when the image changes by up to `radius` in each value.

    Yeh et al. 2019 (arXiv:1901.09392): the maximum over uniform noise of |method(x + noise) − method(x)| / |method(x)|.
    `options` go to the method, and its `batch_size` counts inputs at once, those of several samples together. Inputs
    are floats of any rank. Can be jitted where the method can.

    >>> gradients.max_sensitivity(gradients.saliency, apply, params, x, y, key=key, samples=2).shape
    (4,)
    """
    check_counts('max_sensitivity', samples=samples)
    check_not_negative('max_sensitivity', radius=radius)
    prepare('max_sensitivity', apply, params, x, target)
    asked = asked_of('max_sensitivity', method, (apply, params, target), options)
    still = asked.maps(x)
    worst = jnp.zeros(len(x), still.dtype)
    for _, maps in noisy_maps(asked, x, key, radius, samples):
        worst = jnp.maximum(worst, jnp.linalg.norm(maps - still, axis=2).max(0))
    sensitivity: Array = worst / jnp.linalg.norm(still, axis=1)
    return sensitivity


def _curve(apply: Network, params: Params, x: Inputs, target: Target, change: Change, batch_size: int | None) -> Curve:
    check_counts(change.function, steps=change.steps, batch_size=batch_size)
    check_score(change.function, change.score)
    function, wanted = prepare(change.function, apply, params, x, target, tokens=True)
    check_map(change.function, change.attribution, x=x)
    check_baseline(change.function, change.baseline, x)
    place = _places(by_position(change.attribution, x.ndim))
    base = jnp.broadcast_to(jnp.asarray(change.baseline, jnp.result_type(x)), x.shape)
    pixels = int(np.prod(place.shape[1:]))

    def of_pairs(image: np.ndarray, step: np.ndarray) -> Array:
        changed = jnp.asarray(np.round(step * pixels / change.steps).astype(np.int32))
        images = Pixels(batching.take(x, image), base[image], wanted[image], place[image])
        scores: Array = _scores(function, params, images, changed, change.inserts, change.score)
        return scores

    curve = batching.pairs(of_pairs, len(x), change.steps + 1, batch_size)
    return Curve(jnp.trapezoid(curve, dx=1 / change.steps, axis=1), curve)


@jax.jit
def _places(marks: Float[Array, 'batch ...']) -> Int[Array, 'batch ...']:
    """The place of each pixel in the order from the most marked to the least."""
    order = jnp.argsort(-marks.reshape(len(marks), -1), axis=1, stable=True)
    return jnp.argsort(order, axis=1).reshape(marks.shape)


@partial(jax.jit, static_argnames=('apply', 'inserts', 'score'))
def _scores(
    apply: Apply, params: Params, images: Pixels, changed: Int[Array, ' batch'], inserts: bool, score: Score
) -> Float[Array, ' batch']:
    """The score of each input's class when so many of its positions are changed."""
    gone = images.place < changed.reshape(-1, *[1] * (images.place.ndim - 1))
    logits = apply(params, jnp.where(over_channels(gone, images.x) != inserts, images.baseline, images.x))
    return scored(logits, images.wanted, score)
