"""How far an attribution is to be believed: does hiding what it marks change what the network says?"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from alljax.gradients import batching
from alljax.gradients.gradient_attribution import TOGETHER, logits_of
from alljax.gradients.network_checks import Apply, Images, Params, Target, classes, picked, targets

Curve = tuple[Float[Array, ' batch'], Float[Array, 'batch steps']]  # area under it, and the probabilities


def deletion(
    apply: Apply, params: Params, x: Images, target: Target, attribution: Any, *, steps: int = 50,
    baseline: Any = 0.0, batch_size: int | None = None,
) -> Curve:  # fmt: skip
    """The target's probability while pixels become `baseline`, the most marked ones first (Petsiuk et al. 2018).

    At step k of `steps` + 1, the share k / `steps` of the pixels is gone. The area under the curve (trapezoids) lies
    between 0 and 1; the lower, the better the attribution. An attribution [batch, height, width, channels] is summed
    over its channels; pixels marked alike go from the first to the last. `baseline` broadcasts to `x`.
    """
    return _curve(apply, params, x, target, attribution, steps, baseline, batch_size, inserts=False)


def insertion(
    apply: Apply, params: Params, x: Images, target: Target, attribution: Any, *, steps: int = 50,
    baseline: Any = 0.0, batch_size: int | None = None,
) -> Curve:  # fmt: skip
    """As `deletion`, but from `baseline` to the image: the higher the area, the better the attribution."""
    return _curve(apply, params, x, target, attribution, steps, baseline, batch_size, inserts=True)


def infidelity(
    apply: Apply, params: Params, x: Images, target: Target, attribution: Any, *, key: Key[Array, ''],
    samples: int = 64, sigma: float = 0.1, batch_size: int | None = None,
) -> Float[Array, ' batch']:  # fmt: skip
    """The squared error of the attribution as a linear model of the logit under noise (Yeh et al. 2019, 1901.09392).

    Mean over noise I of (I · attribution − (f(x) − f(x − I)))², I normal with standard deviation `sigma`, in units of
    the input. The attribution is a gradient (not times the input), of the shape of `x`. In squared logits.
    """
    if attribution.shape != x.shape:
        raise ValueError(f'the attribution is {attribution.shape}, the images are {x.shape}; expected the same')
    wanted = targets(target, x, classes(apply, params, x))
    whole = batching.rows(partial(logits_of, apply, params), batch_size, x, wanted)
    errors = jnp.zeros(len(x), x.dtype)
    for sample in range(samples):
        noise = sigma * jax.random.normal(jax.random.fold_in(key, sample), x.shape, x.dtype)
        fall = whole - batching.rows(partial(logits_of, apply, params), batch_size, x - noise, wanted)
        errors += ((noise * attribution).sum((1, 2, 3)) - fall) ** 2
    return errors / samples


def max_sensitivity(
    method: Callable[..., Any], network: Any, params: Params, x: Images, target: Target, *, key: Key[Array, ''],
    radius: float = 0.02, samples: int = 10, **options: Any,
) -> Float[Array, ' batch']:  # fmt: skip
    """The largest relative change of an attribution when the image changes by up to `radius` in each value.

    Yeh et al. 2019 (arXiv:1901.09392): the maximum over uniform noise of |method(x + noise) − method(x)| / |method(x)|.
    `options` go to the method; of one that returns more than one array, the first counts.
    """

    def marked(x: Images) -> Array:
        found = method(network, params, x, target, **options)
        return (found[0] if isinstance(found, tuple) else found).reshape(len(x), -1)

    still = marked(x)
    worst = jnp.zeros(len(x), still.dtype)
    for sample in range(samples):
        noise = jax.random.uniform(jax.random.fold_in(key, sample), x.shape, x.dtype, -radius, radius)
        change = jnp.linalg.norm(marked(x + noise) - still, axis=1) / jnp.linalg.norm(still, axis=1)
        worst = jnp.maximum(worst, change)
    return worst


def by_pixel(attribution: Any) -> Float[Array, 'batch height width']:
    """One number a pixel: channels summed, where there are any."""
    attribution = jnp.asarray(attribution)
    return attribution.sum(3) if attribution.ndim == 4 else attribution


def _curve(
    apply: Apply, params: Params, x: Images, target: Target, attribution: Any, steps: int, baseline: Any,
    batch_size: int | None, inserts: bool,
) -> Curve:  # fmt: skip
    wanted = targets(target, x, classes(apply, params, x))
    marks = by_pixel(attribution)
    if marks.shape != x.shape[:3]:
        raise ValueError(
            f'the attribution is {attribution.shape} and the images are {x.shape}: expected [batch, height, width] or '
            '[batch, height, width, channels]; maps.resize_map enlarges a map'
        )
    place = _places(marks)
    base = jnp.broadcast_to(jnp.asarray(baseline, x.dtype), x.shape)
    pixels = x.shape[1] * x.shape[2]
    size = batch_size or max(TOGETHER, len(x))

    def of_pairs(image: np.ndarray, step: np.ndarray) -> Array:
        changed = jnp.asarray(np.round(step * pixels / steps).astype(np.int32))
        images = jnp.asarray(x[image]), base[image], wanted[image], place[image]
        return _probability(apply, params, *images, changed, inserts)

    curve = batching.pairs(of_pairs, len(x), steps + 1, size)
    return jnp.trapezoid(curve, dx=1 / steps, axis=1), curve


@jax.jit
def _places(marks: Float[Array, 'batch height width']) -> Array:
    """The place of each pixel in the order from the most marked to the least."""
    order = jnp.argsort(-marks.reshape(len(marks), -1), axis=1, stable=True)
    return jnp.argsort(order, axis=1).reshape(marks.shape)


@partial(jax.jit, static_argnames=('apply', 'inserts'))
def _probability(
    apply: Apply, params: Params, x: Array, base: Array, wanted: Array, place: Array, changed: Array, inserts: bool
) -> Float[Array, ' batch']:
    gone = (place < changed[:, None, None])[..., None]
    logits = apply(params, jnp.where(gone != inserts, base, x))
    return picked(jax.nn.softmax(logits), wanted)
