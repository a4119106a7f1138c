"""Attribution by the gradient to the image: as it is, summed along a path, or averaged over noise."""

from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import (
    check_baseline,
    check_classes,
    check_counts,
    check_images,
    check_method_result,
    check_not_negative,
)
from alljax.gradients.network_checks import picked, prepare
from alljax.gradients.typing import Apply, Attribution, Images, Method, Network, Params, Target

AT_ONCE = 32  # images at least, where the memory is not bounded: fewer leave the cores without work

ImageGradient = Float[Array, 'batch height width channels']


class Path(NamedTuple):
    """The straight line from a baseline to each image, and the class whose logit is followed along it."""

    end: ImageGradient
    start: ImageGradient
    wanted: Int[Array, ' batch']


def saliency(
    apply: Network, params: Params, x: Images, target: Target, *, times_input: bool = False,
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """The gradient of the target's logit to each input (Simonyan et al. 2013, arXiv:1312.6034), with its sign.

    `times_input` multiplies it by the input (Shrikumar et al. 2016, arXiv:1605.01713). The map is [batch, height,
    width, channels], in units of the logit over those of the input, or in those of the logit if multiplied.
    """
    check_counts('saliency', batch_size=batch_size)
    function, wanted = prepare('saliency', apply, params, x, target)
    of_batch = partial(_saliency, function, params, times_input=times_input)
    return Attribution(batching.rows(of_batch, batch_size, x, wanted))


def integrated_gradients(
    apply: Network, params: Params, x: Images, target: Target, *, baseline: ArrayLike = 0.0, steps: int = 64,
    rule: Literal['gausslegendre', 'midpoint'] = 'gausslegendre', batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365), and by how much each misses completeness.

    The gap is the sum of the attribution less the difference of the logits at `x` and at `baseline`, in units of the
    logit: near zero, or `steps` are too few. `baseline` is a number or an array that broadcasts to `x`. `batch_size`
    counts gradients at once, of whatever image and step. ValueError for an unknown rule, or no steps.
    """
    check_counts('integrated_gradients', steps=steps, batch_size=batch_size)
    function, wanted = prepare('integrated_gradients', apply, params, x, target)
    check_baseline('integrated_gradients', baseline, x)
    nodes, weights = _quadrature(rule, steps)
    base = jnp.broadcast_to(jnp.asarray(baseline, x.dtype), x.shape)
    size = min(batch_size or len(x), len(x))
    at_once = max(1, (batch_size or AT_ONCE) // size)

    def of_batch(x: Array, base: Array, wanted: Array) -> Attribution:
        path, total = Path(x, base, wanted), jnp.zeros_like(x)
        for start in range(0, steps, at_once):
            chosen = slice(start, start + at_once)
            part = [np.resize(part[chosen], at_once).astype(x.dtype) for part in (nodes, weights)]
            part[1][len(nodes[chosen]) :] = 0  # what fills up the last part counts nothing
            total = _add_gradients(function, params, path, *part, total)
        attribution: Attribution = _with_gap(function, params, path, total)
        return attribution

    return batching.rows(of_batch, size, x, base, wanted)


def smoothgrad(
    method: Method, *, key: Key[Array, ''], samples: int = 32, sigma: float = 0.15,
    reduce: Literal['mean', 'square', 'variance'] = 'mean',
) -> Method:  # fmt: skip
    """A method averaged over noisy copies of each image: SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825).

    Or the mean of the squares, or the variance (VarGrad, Adebayo et al. 2018, arXiv:1810.03307), of the map and of the
    gap, if there is one. `sigma` is the standard deviation of the noise as a part of an image's range. The method given
    may be any that is called as those of this package are; the one returned is called alike. ValueError for an unknown
    reduction, or too few samples for it.
    """
    if reduce not in ('mean', 'square', 'variance'):
        raise ValueError(f"reduce is {reduce!r}; it may be 'mean', 'square' or 'variance'")
    if samples < 1 + (reduce == 'variance'):
        raise ValueError(f'smoothgrad: samples is {samples}: too few for the {reduce}')
    check_counts('smoothgrad', samples=samples)
    check_not_negative('smoothgrad', sigma=sigma)

    def smoothed(apply: Network, params: Params, x: Images, target: Target, **options: Any) -> Attribution:
        check_images('smoothgrad', x)
        check_classes('smoothgrad', target, len(x))
        x, wanted = jnp.asarray(x), jnp.broadcast_to(jnp.asarray(target, jnp.int32), (len(x),))
        at_once = max(1, min(samples, (options.get('batch_size') or AT_ONCE) // len(x)))
        moments: tuple[Attribution, Attribution] | None = None
        for start in range(0, samples, at_once):
            count = min(at_once, samples - start)
            noisy = _noisy(x, key, start + jnp.arange(at_once), sigma)
            found = method(apply, params, noisy, jnp.tile(wanted, at_once), **options)
            check_method_result('smoothgrad', found, noisy)
            parts = jax.tree.map(lambda leaf: leaf.reshape(at_once, -1, *leaf.shape[1:])[:count], found)  # noqa: B023
            moments = _add_samples(moments, parts, start)
        assert moments
        mean, squares = moments
        if reduce == 'mean':
            return mean
        variance: Attribution = jax.tree.map(lambda leaf: leaf / samples, squares)
        if reduce == 'variance':
            return variance
        square: Attribution = jax.tree.map(lambda leaf, middle: leaf + middle**2, variance, mean)
        return square

    return smoothed


@partial(jax.jit, static_argnums=0)
def logits_of(apply: Apply, params: Params, x: Array, wanted: Int[Array, ' batch']) -> Float[Array, ' batch']:
    """The target's logit of each image."""
    return picked(apply(params, x), wanted)


def to_image(apply: Apply, params: Params, x: Array, wanted: Int[Array, ' batch']) -> ImageGradient:
    """The gradient of each image's target logit to that image."""
    gradient: ImageGradient = jax.grad(lambda x: logits_of(apply, params, x, wanted).sum())(x)
    return gradient


@partial(jax.jit, static_argnames=('apply', 'times_input'))
def _saliency(apply: Apply, params: Params, x: Array, wanted: Array, times_input: bool) -> ImageGradient:
    gradient = to_image(apply, params, x, wanted)
    return gradient * x if times_input else gradient


@partial(jax.jit, static_argnums=0, donate_argnums=5)
def _add_gradients(
    apply: Apply, params: Params, path: Path, nodes: Array, weights: Array, total: ImageGradient
) -> ImageGradient:
    """The sum so far and the weighted gradients at some nodes of the path."""
    points = path.start + nodes[:, None, None, None, None] * (path.end - path.start)
    wanted = jnp.tile(path.wanted, len(nodes))
    gradient = to_image(apply, params, points.reshape(-1, *path.end.shape[1:]), wanted)
    return total + jnp.tensordot(weights, gradient.reshape(points.shape), 1)


@partial(jax.jit, static_argnums=0)
def _with_gap(apply: Apply, params: Params, path: Path, total: ImageGradient) -> Attribution:
    attribution = total * (path.end - path.start)
    change = logits_of(apply, params, path.end, path.wanted) - logits_of(apply, params, path.start, path.wanted)
    return Attribution(attribution, attribution.sum((1, 2, 3)) - change)


def _quadrature(rule: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights on 0 to 1."""
    if rule == 'midpoint':
        return (np.arange(steps) + 0.5) / steps, np.full(steps, 1 / steps)
    if rule == 'gausslegendre':
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        return (nodes + 1) / 2, weights / 2
    raise ValueError(f"rule is {rule!r}; it may be 'gausslegendre' or 'midpoint'")


@jax.jit
def _noisy(
    x: Array, key: Key[Array, ''], samples: Int[Array, ' copies'], sigma: float | Float[Array, '']
) -> Float[Array, 'noisy height width channels']:
    spread = sigma * (x.max((1, 2, 3), keepdims=True) - x.min((1, 2, 3), keepdims=True))

    def draw(sample: Int[Array, '']) -> Array:
        return jax.random.normal(jax.random.fold_in(key, sample), x.shape, x.dtype)

    return (x + spread * jax.vmap(draw)(samples)).reshape(-1, *x.shape[1:])


def _add_samples(
    moments: tuple[Attribution, Attribution] | None, parts: Attribution, before: int
) -> tuple[Attribution, Attribution]:
    """The mean and the summed squared distances from it, of `before` samples and those of `parts` (Welford 1962)."""
    count = len(parts.map)
    mean = jax.tree.map(lambda leaf: leaf.mean(0), parts)
    squares = jax.tree.map(lambda leaf, middle: ((leaf - middle) ** 2).sum(0), parts, mean)
    if moments is None:
        return mean, squares
    share = count / (before + count)
    far = jax.tree.map(jnp.subtract, mean, moments[0])
    return (
        jax.tree.map(lambda old, step: old + share * step, moments[0], far),
        jax.tree.map(lambda old, new, step: old + new + before * share * step**2, moments[1], squares, far),
    )
