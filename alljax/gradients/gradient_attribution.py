"""Attribution by the gradient to the input, or to a layer: as it is, summed along a path, or averaged over noise."""

import warnings
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import (
    check_baseline,
    check_classes,
    check_counts,
    check_inputs,
    check_method_result,
    check_not_negative,
    known,
)
from alljax.gradients.intermediates import eval_layer_shape, layer_gradient, with_layer
from alljax.gradients.network_checks import picked, prepare
from alljax.gradients.typing import Apply, Attribution, Inputs, Method, Network, Params, Target

LARGE_GAP = 0.05  # of the change of the logit
ROUNDING = 1e-3  # of the sum of all parts, whatever their sign: less may be rounding errors

InputGradient = Float[Array, 'batch ...']


class CompletenessWarning(UserWarning):
    """An attribution whose sum misses the change of the logit by much."""


class Path(NamedTuple):
    """The straight line from a baseline to each point, and the class whose logit is followed along it."""

    end: InputGradient
    start: InputGradient
    wanted: Int[Array, ' batch']
    x: Array | None  # the inputs, where the points are outputs of a layer


def saliency(
    apply: Network, params: Params, x: Inputs, target: Target, *, times_input: bool = False, layer: str | None = None,
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """The gradient of the target's logit to each input (Simonyan et al. 2013, arXiv:1312.6034), with its sign.

    `times_input` multiplies it by the input (Shrikumar et al. 2016, arXiv:1605.01713). The map has the shape of the
    inputs, of any rank, in units of the logit over those of the input, or in those of the logit if multiplied. With
    `layer`, named as in `layer_output`, it is the gradient to the output of that layer, and has its shape; inputs may
    then be integers, as tokens are. Can be jitted, also with labels that are traced.

    >>> gradients.saliency(apply, params, x, y).map.shape
    (4, 8, 8, 3)
    """
    check_counts('saliency', batch_size=batch_size)
    function, wanted = prepare('saliency', apply, params, x, target, tokens=layer is not None)
    of_batch = partial(_saliency, function, params, layer=layer, times_input=times_input)
    return Attribution(batching.rows(of_batch, batch_size, x, wanted))


def integrated_gradients(
    apply: Network, params: Params, x: Inputs, target: Target, *, baseline: ArrayLike = 0.0, steps: int = 64,
    rule: Literal['gausslegendre', 'midpoint'] = 'gausslegendre', layer: str | None = None,
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365), and by how much each misses completeness.

    The gap is the sum of the attribution less the difference of the logits at `x` and at `baseline`, in units of the
    logit: near zero, or `steps` are too few. More than 5 % of that difference is a `CompletenessWarning` (within `jit`
    nobody knows: look at the gap). Inputs are of any rank; `baseline` is a number or an array that broadcasts to `x`.
    With `layer`, named as in `layer_output`, the path leads from what the layer gives for the baseline to what it gives
    for `x`, which may be tokens, and the map has the shape of the layer. `batch_size` counts gradients at once, of
    whatever input and step. Can be jitted. ValueError for an unknown rule, or no steps.

    >>> found = gradients.integrated_gradients(apply, params, x, y, baseline=0.5)
    >>> found.map.shape, bool(abs(found.gap).max() < 1e-3)
    ((4, 8, 8, 3), True)
    """
    check_counts('integrated_gradients', steps=steps, batch_size=batch_size)
    function, wanted = prepare('integrated_gradients', apply, params, x, target, tokens=layer is not None)
    check_baseline('integrated_gradients', baseline, x)
    nodes, weights = _quadrature(rule, steps)
    base = batching.spread(jnp.broadcast_to(jnp.asarray(baseline, jnp.result_type(x)), x.shape), x)
    size = min(batch_size or len(x), len(x))
    at_once = batching.copies_at_once(size, steps, batch_size)

    def of_batch(x: Array, base: Array, wanted: Array) -> Attribution:
        path = Path(x, base, wanted, None)
        if layer is not None:
            end, begin = _layer_outputs(function, params, x, base, layer)
            path = Path(end, begin, wanted, x)
        total = jnp.zeros_like(path.end)
        for start in range(0, steps, at_once):
            chosen = slice(start, start + at_once)
            part = [np.resize(part[chosen], at_once).astype(path.end.dtype) for part in (nodes, weights)]
            part[1][len(nodes[chosen]) :] = 0  # what fills up the last part counts nothing
            total = _add_gradients(function, params, path, tuple(part), total, layer)
        attribution: Attribution = _with_gap(function, params, path, total, layer)
        return attribution

    found = batching.rows(of_batch, size, x, base, wanted)
    _warn_of_gaps(found, steps)
    return found


def smoothgrad(
    method: Method, *, key: Key[Array, ''], samples: int = 32, sigma: float = 0.15,
    reduce: Literal['mean', 'square', 'variance'] = 'mean',
) -> Method:  # fmt: skip
    """A method averaged over noisy copies of each input: SmoothGrad (Smilkov et al. 2017, arXiv:1706.03825).

    Or the mean of the squares, or the variance (VarGrad, Adebayo et al. 2018, arXiv:1810.03307), of the map and of the
    gap, if there is one. `sigma` is the standard deviation of the noise as a part of an input's range; inputs are
    floats of any rank. The method given may be any that is called as those of this package are; the one returned is
    called alike, and can be jitted where the other can. ValueError for an unknown reduction, or too few samples for it.

    >>> smooth = gradients.smoothgrad(gradients.saliency, key=key, samples=4)
    >>> smooth(apply, params, x, y).map.shape
    (4, 8, 8, 3)
    """
    if reduce not in ('mean', 'square', 'variance'):
        raise ValueError(f"reduce is {reduce!r}; it may be 'mean', 'square' or 'variance'")
    if samples < 1 + (reduce == 'variance'):
        raise ValueError(f'smoothgrad: samples is {samples}: too few for the {reduce}')
    check_counts('smoothgrad', samples=samples)
    check_not_negative('smoothgrad', sigma=sigma)

    def smoothed(apply: Network, params: Params, x: Inputs, target: Target, **options: Any) -> Attribution:
        check_inputs('smoothgrad', x)
        check_classes('smoothgrad', target, len(x))
        x, wanted = jnp.asarray(x), jnp.broadcast_to(jnp.asarray(0 if target is None else target, jnp.int32), (len(x),))
        at_once = batching.copies_at_once(len(x), samples, options.get('batch_size'))
        moments: tuple[Attribution, Attribution] | None = None
        for start in range(0, samples, at_once):
            count = min(at_once, samples - start)
            noisy = _noisy(x, key, start + jnp.arange(at_once), sigma)
            asked = None if target is None else jnp.tile(wanted, at_once)
            found = method(apply, params, noisy, asked, **options)
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
    """The target's logit of each input."""
    return picked(apply(params, x), wanted)


def to_input(apply: Apply, params: Params, x: Array, wanted: Int[Array, ' batch']) -> InputGradient:
    """The gradient of each input's target logit to that input."""
    gradient: InputGradient = jax.grad(lambda x: logits_of(apply, params, x, wanted).sum())(x)
    return gradient


@partial(jax.jit, static_argnames=('apply', 'layer', 'times_input'))
def _saliency(
    apply: Apply, params: Params, x: Array, wanted: Array, layer: str | None, times_input: bool
) -> InputGradient:  # fmt: skip
    if layer is None:
        gradient, point = to_input(apply, params, x, wanted), x
    else:
        gradient, point = layer_gradient(apply, params, x, wanted, layer)
    return gradient * point if times_input else gradient


@partial(jax.jit, static_argnames=('apply', 'layer'))
def _layer_outputs(apply: Apply, params: Params, x: Array, base: Array, layer: str) -> tuple[Array, Array]:
    expected = eval_layer_shape(apply, params, x, layer)
    if not jnp.issubdtype(expected.dtype, jnp.floating):
        raise ValueError(f'layer {layer!r} gives {expected.dtype}; expected floats, which alone have gradients')
    layer_of = with_layer(apply, layer)
    return layer_of(params, x).layer, layer_of(params, base).layer


def _along(
    apply: Apply, params: Params, path: Path, points: Array, layer: str | None, copies: int = 1
) -> Float[Array, ' points']:
    """The target's logit at points of the path, of all its rows, or of copies of them all."""
    wanted = jnp.tile(path.wanted, copies)
    if layer is None:
        return picked(apply(params, points), wanted)
    assert path.x is not None
    x = jnp.tile(path.x, (copies, *[1] * (path.x.ndim - 1)))
    return picked(with_layer(apply, layer)(params, x, value=points).logits, wanted)


@partial(jax.jit, static_argnums=(0, 5))
def _add_gradients(
    apply: Apply, params: Params, path: Path, rule: tuple[Array, ...], total: InputGradient, layer: str | None
) -> InputGradient:
    """The sum so far and the weighted gradients at some nodes of the path, of a rule of nodes and weights."""
    nodes, weights = rule
    points = path.start + nodes.reshape(-1, *[1] * path.end.ndim) * (path.end - path.start)
    flat = points.reshape(-1, *path.end.shape[1:])
    gradient = jax.grad(lambda flat: _along(apply, params, path, flat, layer, len(nodes)).sum())(flat)
    return total + jnp.tensordot(weights, gradient.reshape(points.shape), 1)


@partial(jax.jit, static_argnums=(0, 4))
def _with_gap(apply: Apply, params: Params, path: Path, total: InputGradient, layer: str | None) -> Attribution:
    attribution = total * (path.end - path.start)
    change = _along(apply, params, path, path.end, layer) - _along(apply, params, path, path.start, layer)
    return Attribution(attribution, attribution.sum(tuple(range(1, attribution.ndim))) - change)


def large_gaps(found: Attribution) -> Bool[np.ndarray, ' batch']:
    """True where an attribution misses the change of the logit by much, and by more than rounding errors."""
    gap, whole = np.asarray(found.gap), np.asarray(jnp.abs(found.map).reshape(len(found.map), -1).sum(1))
    large: np.ndarray = (np.abs(gap) > LARGE_GAP * _change(found)) & (np.abs(gap) > ROUNDING * whole)
    return large


def _change(found: Attribution) -> Float[np.ndarray, ' batch']:
    """The absolute change of each logit."""
    change: np.ndarray = np.abs(np.asarray(found.map.reshape(len(found.map), -1).sum(1)) - np.asarray(found.gap))
    return change


def _warn_of_gaps(found: Attribution, steps: int) -> None:
    """CompletenessWarning, where the values are known, in one sentence for all inputs."""
    if not (known(found.map) and known(found.gap)):
        return
    large = large_gaps(found)
    if large.any():
        gap, change = np.asarray(found.gap), _change(found)
        worst = np.argmax(np.where(large, np.abs(gap), 0))
        warnings.warn(
            f'integrated_gradients: {large.sum()} of {len(gap)} attributions miss the change of the logit by more than '
            f'{LARGE_GAP:.0%}, one by {abs(gap[worst]):.2g} of {change[worst]:.2g}: steps={steps} are too few; double '
            'them until the gap is small',
            CompletenessWarning,
            stacklevel=3,
        )


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
) -> Float[Array, 'noisy ...']:
    axes = tuple(range(1, x.ndim))
    spread = sigma * (x.max(axes, keepdims=True) - x.min(axes, keepdims=True))

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


quadrature = _quadrature  # of conductance too
