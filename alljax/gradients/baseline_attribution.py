"""Attribution by differences from baselines: DeepLIFT, and expected gradients over many baselines (GradientSHAP)."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_baseline, check_counts, check_inputs, check_not_negative, known
from alljax.gradients.gradient_attribution import logits_of, to_input
from alljax.gradients.network_checks import picked, prepare
from alljax.gradients.rescale_rule import logits_from_baseline
from alljax.gradients.typing import Apply, Attribution, Inputs, Network, Params, Rows, Target


class Draw(NamedTuple):
    """One sample of GradientSHAP as it is drawn, for each input."""

    baseline: Int[Array, ' batch']  # which of them
    place: Float[Array, ' batch']  # on the line from the baseline, 0, to the input, 1
    noise: Float[Array, 'batch ...']  # of unit deviation, added to the input


def deep_lift(
    apply: Network, params: Params, x: Inputs, target: Target, *, baseline: ArrayLike = 0.0,
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """DeepLIFT by the rescale rule (Shrikumar et al. 2017, arXiv:1704.02685), and by how much it misses completeness.

    The multipliers of `rescale_rule` times the difference from `baseline`, a number or an array that broadcasts to
    `x`. Functions of one value, maxima and products are found in the program that JAX traces, in whatever library the
    network is written; loops by `scan` are rolled out. The gap is the sum of the attribution less the difference of the
    logits at `x` and at `baseline`, in units of the logit: near zero, unless the network sorts, or chooses by a
    condition. Inputs are floats of any rank, and so is the map. Can be jitted. ValueError for a network with other
    loops.

    >>> found = gradients.deep_lift(apply, params, x, y, baseline=0.5)
    >>> found.map.shape, bool(abs(found.gap).max() < 1e-4)
    ((4, 8, 8, 3), True)
    """
    check_counts('deep_lift', batch_size=batch_size)
    function, wanted = prepare('deep_lift', apply, params, x, target)
    check_baseline('deep_lift', baseline, x)
    base = jnp.broadcast_to(jnp.asarray(baseline, x.dtype), x.shape)
    found: Attribution = batching.rows(partial(_deep_lift, function, params), batch_size, x, base, wanted)
    return found


def gradient_shap(
    apply: Network, params: Params, x: Inputs, target: Target, *, key: Key[Array, ''], baselines: Rows | None = None,
    samples: int = 32, sigma: float = 0.0, batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """Expected gradients (Erion et al. 2019, arXiv:1906.10670), known as GradientSHAP (Lundberg & Lee 2017).

    The mean over `samples` of the gradient at a random point between a baseline and the input, times the difference of
    both. `baselines` are rows like those of `x`, from which each sample draws one: training images, say; by default one
    of zeros. `sigma` is the standard deviation of noise added to the input, in units of the input. The gap is the
    sum of the attribution less that of the logits at `x` and, in the mean, at the baselines drawn; it shrinks with the
    root of `samples`. Inputs are floats of any rank. Can be jitted. ValueError for baselines of another shape.

    >>> gradients.gradient_shap(apply, params, x, y, key=key, baselines=x[:2], samples=4).map.shape
    (4, 8, 8, 3)
    """
    check_counts('gradient_shap', samples=samples, batch_size=batch_size)
    check_not_negative('gradient_shap', sigma=sigma)
    function, wanted = prepare('gradient_shap', apply, params, x, target)
    x = jnp.asarray(x)
    if baselines is None:
        baselines = jnp.zeros_like(x[:1])
    check_inputs('gradient_shap', baselines, 'baselines')
    if baselines.shape[1:] != x.shape[1:]:
        raise ValueError(
            f'gradient_shap: baselines are {tuple(baselines.shape)}; expected rows like those of x, {tuple(x.shape)}'
        )
    baselines, size = jnp.asarray(baselines), batching.copies_at_once(len(x), samples, batch_size)
    outputs = batching.rows(partial(_outputs, function, params), batch_size or max(batching.AT_ONCE, len(x)), baselines)
    of_batch, silent = partial(_times_way, function, params), known(sigma) and not sigma
    total, at_base = jnp.zeros_like(x), jnp.zeros(len(x), x.dtype)
    for start in range(0, samples, size):
        count = min(size, samples - start)
        drawn = _drawn(key, np.arange(start, start + size), x, baselines, 0.0 if silent else sigma, silent=silent)
        part = batching.rows(of_batch, batch_size, drawn.point, drawn.way, jnp.tile(wanted, size))
        total, at_base = _added((total, at_base), part, outputs, drawn.baseline, wanted, count)
    attribution, at_base = total / samples, at_base / samples
    at_x = batching.rows(partial(logits_of, function, params), batch_size, x, wanted)
    sums = attribution.sum(tuple(range(1, attribution.ndim)))
    return Attribution(attribution, sums - (at_x - at_base))


class Points(NamedTuple):
    """Points between baselines and inputs: of all inputs for one sample, then for the next."""

    point: Float[Array, 'rows ...']
    way: Float[Array, 'rows ...']  # from the baseline to the input, with its noise
    baseline: Int[Array, ' rows']  # which of them


@partial(jax.jit, static_argnames='silent')
def _drawn(
    key: Key[Array, ''], samples: Int[Array, ' samples'] | Int[np.ndarray, ' samples'], x: Float[Array, 'batch ...'],
    baselines: Float[Array, 'baselines ...'], sigma: float | Float[Array, ''], *, silent: bool,
) -> Points:  # fmt: skip
    drawn = jax.vmap(lambda sample: draw(jax.random.fold_in(key, sample), x, len(baselines)))(samples)
    base, end = baselines[drawn.baseline], x if silent else x + sigma * drawn.noise
    point = base + drawn.place.reshape(*drawn.place.shape, *[1] * (x.ndim - 1)) * (end - base)
    point, way = (part.reshape(-1, *x.shape[1:]) for part in (point, end - base))
    return Points(point, way, drawn.baseline.ravel())


@partial(jax.jit, static_argnames='count')
def _added(
    sums: tuple[Float[Array, 'batch ...'], Float[Array, ' batch']], part: Float[Array, 'rows ...'],
    outputs: Float[Array, 'baselines ...'], baseline: Int[Array, ' rows'], wanted: Int[Array, ' batch'], count: int,
) -> tuple[Float[Array, 'batch ...'], Float[Array, ' batch']]:  # fmt: skip
    """The sums so far and those of the first `count` samples: of the attribution, and of the logits at baselines."""
    (total, at_base), rows = sums, count * len(wanted)
    logits = picked(outputs[baseline[:rows]], jnp.tile(wanted, count)).reshape(count, -1)
    return total + part[:rows].reshape(count, *total.shape).sum(0), at_base + logits.sum(0)


def draw(key: Key[Array, ''], x: Float[Array, 'batch ...'], baselines: int) -> Draw:
    """A baseline, a place on the line to it, and noise, for each input."""
    of_baseline, of_place, of_noise = jax.random.split(key, 3)
    return Draw(
        jax.random.randint(of_baseline, (len(x),), 0, baselines),
        jax.random.uniform(of_place, (len(x),), x.dtype),
        jax.random.normal(of_noise, x.shape, x.dtype),
    )


@partial(jax.jit, static_argnums=0)
def _deep_lift(apply: Apply, params: Params, x: Array, base: Array, wanted: Int[Array, ' batch']) -> Attribution:
    def score(x: Array) -> tuple[Array, Array]:
        logits, at_base = logits_from_baseline(apply, params, x, base)
        return picked(logits, wanted).sum(), picked(logits, wanted) - picked(at_base, wanted)

    multipliers, change = jax.grad(score, has_aux=True)(x)
    attribution = multipliers * (x - base)
    return Attribution(attribution, attribution.sum(tuple(range(1, x.ndim))) - change)


@partial(jax.jit, static_argnums=0)
def _times_way(
    apply: Apply, params: Params, point: Array, way: Array, wanted: Int[Array, ' batch']
) -> Float[Array, 'batch ...']:
    """The gradient at a point between baseline and input, times the way from one to the other."""
    return to_input(apply, params, point, wanted) * way


@partial(jax.jit, static_argnums=0)
def _outputs(apply: Apply, params: Params, x: Array) -> Float[Array, 'batch ...']:
    """All that a network gives."""
    outputs: Array = apply(params, x)
    return outputs
