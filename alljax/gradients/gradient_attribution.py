"""Which pixels a logit depends on: the gradient to the image, summed along a path, or averaged over noise."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from alljax.gradients import batching
from alljax.gradients.network_checks import Apply, Images, Params, Target, classes, picked, targets

TOGETHER = 32  # images at once at least, where the memory is not bounded: fewer leave the cores without work

Attribution = Float[Array, 'batch height width channels']


def saliency(
    apply: Apply, params: Params, x: Images, target: Target, *, times_input: bool = False,
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """The gradient of the target's logit to each input (Simonyan et al. 2013, arXiv:1312.6034), sign and all.

    `times_input` multiplies it by the input (Shrikumar et al. 2016, arXiv:1605.01713).
    """
    wanted = targets(target, x, classes(apply, params, x))
    return batching.rows(partial(_saliency, apply, params, times_input=times_input), batch_size, x, wanted)


def integrated(
    apply: Apply, params: Params, x: Images, target: Target, *, baseline: Any = 0.0, steps: int = 64,
    rule: Literal['gausslegendre', 'midpoint'] = 'gausslegendre', batch_size: int | None = None,
) -> tuple[Attribution, Float[Array, ' batch']]:  # fmt: skip
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365), and by how much each misses completeness.

    The gap is the sum of the attribution less the difference of the logits at `x` and at `baseline`, in units of the
    logit: near zero, or `steps` are too few. `baseline` is a number or an array that broadcasts to `x`. `batch_size`
    counts gradients at once, of whatever image and step.
    """
    wanted = targets(target, x, classes(apply, params, x))
    nodes, weights = _quadrature(rule, steps)
    base = jnp.broadcast_to(jnp.asarray(baseline, x.dtype), x.shape)
    size = min(batch_size or len(x), len(x))
    at_once = max(1, (batch_size or TOGETHER) // size)

    def of_batch(x: Array, base: Array, wanted: Array) -> tuple[Array, Array]:
        total = jnp.zeros_like(x)
        for start in range(0, steps, at_once):
            chosen = slice(start, start + at_once)
            part = [np.resize(part[chosen], at_once).astype(x.dtype) for part in (nodes, weights)]
            part[1][len(nodes[chosen]) :] = 0  # what fills up the last part counts nothing
            total = _add_path(apply, params, x, base, wanted, *part, total)
        return _complete(apply, params, x, base, wanted, total)

    return batching.rows(of_batch, size, x, base, wanted)


def smooth(
    method: Callable[..., Any], *, key: Key[Array, ''], samples: int = 32, sigma: float = 0.15,
    reduce: Literal['mean', 'square', 'variance'] = 'mean',
) -> Callable[..., Any]:  # fmt: skip
    """The method over noisy copies of each image: their mean (SmoothGrad, Smilkov et al. 2017, arXiv:1706.03825).

    Or the mean of the squares, or the variance (VarGrad, Adebayo et al. 2018, arXiv:1810.03307). `sigma` is the
    standard deviation of the noise as a part of an image's range. Takes any method of this package whose first four
    arguments are network, parameters, images and target, and returns one that is called alike; of a method that
    returns more than one array, each is averaged.
    """
    if reduce not in ('mean', 'square', 'variance'):
        raise ValueError(f"reduce is {reduce!r}; it may be 'mean', 'square' or 'variance'")
    if samples < 1 + (reduce == 'variance'):
        raise ValueError(f'samples is {samples}: too few for the {reduce}')

    def smoothed(network: Any, params: Params, x: Images, target: Target, **options: Any) -> Any:
        x, wanted = jnp.asarray(x), jnp.broadcast_to(jnp.asarray(target, jnp.int32), (len(x),))
        at_once = max(1, min(samples, (options.get('batch_size') or TOGETHER) // len(x)))
        state: Any = None
        for start in range(0, samples, at_once):
            count = min(at_once, samples - start)
            noisy = _noisy(x, key, start + jnp.arange(at_once), sigma)
            found = method(network, params, noisy, jnp.tile(wanted, at_once), **options)
            parts = jax.tree.map(lambda leaf: leaf.reshape(at_once, -1, *leaf.shape[1:])[:count], found)  # noqa: B023
            state = _welford(state, parts, start)
        mean, squares = state
        if reduce == 'mean':
            return mean
        spread = jax.tree.map(lambda leaf: leaf / samples, squares)
        if reduce == 'variance':
            return spread
        return jax.tree.map(lambda leaf, middle: leaf + middle**2, spread, mean)

    return smoothed


@partial(jax.jit, static_argnums=0)
def logits_of(apply: Apply, params: Params, x: Array, wanted: Int[Array, ' batch']) -> Float[Array, ' batch']:
    """The target's logit of each image."""
    return picked(apply(params, x), wanted)


def to_image(apply: Apply, params: Params, x: Array, wanted: Int[Array, ' batch']) -> Attribution:
    """The gradient of each image's target logit to that image."""
    return jax.grad(lambda x: logits_of(apply, params, x, wanted).sum())(x)


@partial(jax.jit, static_argnames=('apply', 'times_input'))
def _saliency(apply: Apply, params: Params, x: Array, wanted: Array, times_input: bool) -> Attribution:
    gradient = to_image(apply, params, x, wanted)
    return gradient * x if times_input else gradient


@partial(jax.jit, static_argnums=0, donate_argnums=7)
def _add_path(
    apply: Apply, params: Params, x: Array, base: Array, wanted: Array, nodes: Array, weights: Array, total: Array
) -> Attribution:
    """The sum so far and the weighted gradients at some nodes of the path."""
    points = base + nodes[:, None, None, None, None] * (x - base)
    gradient = to_image(apply, params, points.reshape(-1, *x.shape[1:]), jnp.tile(wanted, len(nodes)))
    return total + jnp.tensordot(weights, gradient.reshape(points.shape), 1)


@partial(jax.jit, static_argnums=0)
def _complete(
    apply: Apply, params: Params, x: Array, base: Array, wanted: Array, total: Array
) -> tuple[Attribution, Array]:
    attribution = total * (x - base)
    change = logits_of(apply, params, x, wanted) - logits_of(apply, params, base, wanted)
    return attribution, attribution.sum((1, 2, 3)) - change


def _quadrature(rule: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on 0 to 1."""
    if steps < 1:
        raise ValueError(f'steps is {steps}: expected 1 or more')
    if rule == 'midpoint':
        return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    if rule == 'gausslegendre':
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        return (nodes + 1) / 2, weights / 2
    raise ValueError(f"rule is {rule!r}; it may be 'gausslegendre' or 'midpoint'")


@jax.jit
def _noisy(
    x: Array, key: Key[Array, ''], samples: Int[Array, ' copies'], sigma: Any
) -> Float[Array, 'noisy height width channels']:
    spread = sigma * (x.max((1, 2, 3), keepdims=True) - x.min((1, 2, 3), keepdims=True))
    draw = jax.vmap(lambda sample: jax.random.normal(jax.random.fold_in(key, sample), x.shape, x.dtype))
    return (x + spread * draw(samples)).reshape(-1, *x.shape[1:])


def _welford(state: Any, parts: Any, before: int) -> Any:
    """The mean so far and the squared distances from it, of `before` samples and those of `parts` [count, batch, …]."""
    count = len(jax.tree.leaves(parts)[0])
    mean = jax.tree.map(lambda leaf: leaf.mean(0), parts)
    squares = jax.tree.map(lambda leaf, middle: ((leaf - middle) ** 2).sum(0), parts, mean)
    if state is None:
        return mean, squares
    share = count / (before + count)
    far = jax.tree.map(jnp.subtract, mean, state[0])
    return (
        jax.tree.map(lambda old, step: old + share * step, state[0], far),
        jax.tree.map(lambda old, new, step: old + new + before * share * step**2, state[1], squares, far),
    )
