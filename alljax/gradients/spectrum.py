"""Eigenvalues, eigenvectors, trace and spectral density of a matrix that is known by its products."""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key

from alljax.gradients import lanczos
from alljax.gradients.argument_checks import ArgumentTypeError, check_counts, check_not_negative, is_array, known
from alljax.gradients.curvature import Operator, Vector
from alljax.gradients.parameter_checks import check_params, check_trained
from alljax.gradients.typing import Number, Params

ORDERS: dict[str, Callable[[Array], Array]] = {
    'largest': lambda values: -values,
    'smallest': lambda values: values,
    'magnitude': lambda v: -jnp.abs(v),
}
MIXED = 1e-3  # of a start vector is random, so that it has a share in every eigenvector

Which = Literal['largest', 'smallest', 'magnitude']


class Wanted(NamedTuple):
    """The eigenvalues to find, and from where."""

    k: int
    start: Vector | Params | None
    iterations: int | None
    which: Which
    tolerance: Number


class Density(NamedTuple):
    """A spectral density: how many eigenvalues lie where, as a part of all; its integral is 1."""

    eigenvalue: Float[Array, ' points']
    density: Float[Array, ' points']


def eigenvalues(
    op: Operator, k: int = 1, *, key: Key[Array, ''], start: Vector | Params | None = None,
    iterations: int | None = None, which: Which = 'largest', tolerance: Number = 1e-6,
) -> Float[Array, ' found']:  # fmt: skip
    """The k largest eigenvalues, the smallest or those of largest magnitude, in that order, by Lanczos' method.

    With full reorthogonalization: without it, eigenvalues that have converged come again. A product and a vector of
    memory for each of up to `iterations`, by default as many as find well separated eigenvalues to a part in a million.
    It ends before, looking after every 8 of them, where |A v − λ v| < `tolerance` |λ| for each of the k, which bounds
    the error of λ; 0 takes all of them. `start` is a vector [size] or a tree of parameters near the eigenvectors, as
    `eigenvectors` gave a few training steps ago: fewer iterations do then. Equal eigenvalues are found once: there are
    fewer than k where the matrix has fewer different ones. The parameters are of any shapes. Can be jitted: the result
    then is [k], with NaN after those that were found; on a CPU networks of convolutions are much faster outside, where
    all is compiled once as well.

    >>> gradients.eigenvalues(op, 2, key=key, iterations=8).shape
    (2,)
    """
    return _found('eigenvalues', op, key, Wanted(k, start, iterations, which, tolerance))[0]


def eigenvectors(
    op: Operator, k: int = 1, *, key: Key[Array, ''], start: Vector | Params | None = None,
    iterations: int | None = None, which: Which = 'largest', tolerance: Number = 1e-6,
) -> tuple[Float[Array, ' found'], list[Params]]:  # fmt: skip
    """The same eigenvalues as of `eigenvalues`, and a tree of parameters for each: its eigenvector, of length 1.

    A vector's error is about `tolerance` λ over the distance of λ to the next eigenvalue. Parameters that do not vary
    are zero in it. The sign is the one nearer to `start`. Any shapes of parameters; can be jitted as `eigenvalues` can.

    >>> values, trees = gradients.eigenvectors(op, 2, key=key, iterations=8)
    >>> values, trees = gradients.eigenvectors(op, 2, key=key, iterations=4, start=trees[0])
    """
    values, ways, found = _found('eigenvectors', op, key, Wanted(k, start, iterations, which, tolerance))
    vectors = jnp.where(jnp.isnan(values)[:, None], jnp.nan, found.in_full(ways))
    return values, [direction(op, vector) for vector in vectors]


def stochastic_trace(op: Operator, key: Key[Array, ''], probes: int = 32) -> tuple[Float[Array, ''], Float[Array, '']]:
    """An estimate of the trace and its standard error (Hutchinson 1990): one product for each of the `probes` signs.

    The parameters are of any shapes. Can be jitted.

    >>> trace, error = gradients.stochastic_trace(op, key, probes=4)
    """
    op = checked_operator('stochastic_trace', op)
    check_counts('stochastic_trace', probes=probes)
    if probes < 2:
        raise ValueError(f'probes is {probes}: no standard error; expected 2 or more')
    signs = [_signs(own, op.like) for own in jax.random.split(key, probes)]
    found = jnp.stack([sign @ op.product(sign) for sign in signs])
    _require_finite('stochastic_trace', found)
    return found.mean(), found.std(ddof=1) / jnp.sqrt(probes)


def spectral_density(
    op: Operator, key: Key[Array, ''], *, probes: int = 8, iterations: int = 40, points: int = 1024,
    width: float = 0.01,
) -> Density:  # fmt: skip
    """The spectral density by stochastic Lanczos quadrature (Ghorbani et al. 2019, arXiv:1901.10159).

    Each eigenvalue that a probe finds is a normal curve, whose standard deviation is `width` of the range of them all.
    The parameters are of any shapes. Can be jitted.

    >>> found = gradients.spectral_density(op, key, probes=2, iterations=8, points=64)
    >>> found.density.shape
    (64,)
    """
    op = checked_operator('spectral_density', op)
    check_counts('spectral_density', probes=probes, iterations=iterations, points=points)
    check_not_negative('spectral_density', width=width)
    steps = min(op.like.size, iterations)
    found = [lanczos.ritz(op.product, _signs(own, op.like), steps).pairs for own in jax.random.split(key, probes)]
    nodes = jnp.concatenate([one.values for one in found])
    weights = jnp.concatenate([one.vectors[0] ** 2 for one in found])  # zero where nothing was found
    _require_finite('spectral_density', jnp.stack([one.values[0] for one in found]))
    density: Density = _curves(nodes, weights, width, points, probes)
    return density


def checked_operator(function: str, op: Operator) -> Operator:
    """The operator on vectors of float32 or wider: half precision has too few digits to keep directions apart."""
    if not isinstance(op, Operator):
        raise ArgumentTypeError(f'{function}: op is {type(op).__name__}; expected an Operator, of curvature_operator')
    check_trained(function, op.like, 'op.like')
    dtype = op.like.dtype
    wide = jnp.promote_types(dtype, jnp.float32)
    if wide == dtype:
        return op
    return op._replace(product=lambda vector: op.product(vector.astype(dtype)).astype(wide), like=op.like.astype(wide))


def direction(op: Operator, vector: Vector) -> Params:
    """The tree of parameters that a direction is; zero where nothing varies."""
    still = op.unravel(jnp.zeros_like(op.like))
    return jax.tree.map(jnp.subtract, op.unravel(vector.astype(op.like.dtype)), still)


def _found(
    function: str, op: Operator, key: Key[Array, ''], wanted: Wanted
) -> tuple[Float[Array, ' found'], Float[Array, 'steps found'], lanczos.Ritz]:
    """The eigenvalues, and their vectors in the basis that was found."""
    op = checked_operator(function, op)
    k, start, iterations, which, tolerance = wanted
    check_counts(function, iterations=iterations)
    check_not_negative(function, tolerance=tolerance)
    steps = min(op.like.size, iterations or max(8 * k + 40, 60))
    if not 1 <= k <= steps:
        raise ValueError(f'{function}: k is {k}: expected 1 to {steps}, the number of iterations')
    if which not in ORDERS:
        raise ValueError(f'{function}: which is {which!r}; it may be {", ".join(map(repr, ORDERS))}')
    first = _normalized(jax.random.normal(key, op.like.shape, op.like.dtype))
    if start is not None:
        first = _start(function, op, start) + MIXED * first
    found = lanczos.ritz(op.product, first, steps, lambda pairs: _enough(pairs, tolerance, k, which))
    values, ways = _best(found.pairs, k, which)
    if not known(values):
        return values, ways, found
    there = ~np.isnan(values)
    _require_finite(function, values[:1])
    return values[there], ways[:, there], found


def _start(function: str, op: Operator, start: Vector | Params) -> Vector:
    """The direction of a start vector, or of the tree of one."""
    if not (is_array(start) and start.shape == op.like.shape):
        check_params(function, start, 'start')
        if is_array(start) or op.ravel is None:
            found = f'of shape {start.shape}' if is_array(start) else 'a tree, which this op has no `ravel` for'
            raise ValueError(f'{function}: start is {found}; expected a vector of shape {op.like.shape}')
        start = op.ravel(start)
    check_params(function, start, 'start')
    if known(start) and not np.any(start):
        raise ValueError(f'{function}: start is zero everywhere; expected a direction, or None for a random one')
    direction: Vector = _normalized(jnp.asarray(start, op.like.dtype))
    return direction


@jax.jit
def _normalized(vector: Vector) -> Vector:
    direction: Vector = vector / jnp.linalg.norm(vector)
    return direction


@partial(jax.jit, static_argnums=(2, 3))
def _enough(pairs: lanczos.Pairs, tolerance: Number, k: int, which: str) -> Bool[Array, '']:
    order = jnp.argsort(ORDERS[which](pairs.values))[:k]  # NaN comes last, and is no number within a tolerance
    return pairs.spent | jnp.all(pairs.residuals[order] < tolerance * jnp.abs(pairs.values[order]))


@partial(jax.jit, static_argnums=(1, 2))
def _best(pairs: lanczos.Pairs, k: int, which: str) -> tuple[Float[Array, ' k'], Float[Array, 'steps k']]:
    order = jnp.argsort(ORDERS[which](pairs.values))[:k]
    ways = pairs.vectors[:, order]
    return pairs.values[order], ways * jnp.where(ways[0] < 0, -1, 1)  # their share in the start vector is positive


def _signs(key: Key[Array, ''], like: Vector) -> Vector:
    signs: Vector = jax.random.rademacher(key, (1, like.size), like.dtype)[0]
    return signs


@partial(jax.jit, static_argnums=(3, 4))
def _curves(nodes: Array, weights: Array, width: Array, points: int, probes: int) -> Density:
    low, high = jnp.nanmin(nodes), jnp.nanmax(nodes)
    least = jnp.maximum(1e-6 * jnp.nanmax(jnp.abs(nodes)), np.finfo(nodes.dtype).tiny)
    spread = width * jnp.maximum(high - low, least)
    grid = jnp.linspace(low - 6 * spread, high + 6 * spread, points)
    there = jnp.where(jnp.isnan(nodes), low, nodes)
    curves = jnp.exp(-0.5 * ((grid[:, None] - there) / spread) ** 2) / (spread * jnp.sqrt(2 * jnp.pi))
    return Density(grid, curves @ weights / probes)


def _require_finite(function: str, found: Array) -> None:
    if known(found) and not np.isfinite(found).all():
        raise ValueError(
            f'{function}: op gives products with NaN or infinity; look for where they begin: in the loss, or in '
            'activations that overflow their type'
        )
