"""The curvature of the loss: products with Hessian, Gauss-Newton and Fisher matrices, and what follows from them.

Lanczos, stochastic traces and quadrature are matfree's. Its loops run in Python here (`jax.disable_jit`), around
products that are compiled: XLA:CPU computes the gradients of convolutions within its own loops up to eighty times
slower.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, Key
from matfree import decomp, stochtrace

from alljax.gradients import batching
from alljax.gradients.argument_checks import (
    ArgumentTypeError,
    check_counts,
    check_not_negative,
    check_params,
    check_trained,
    require_leaves,
)
from alljax.gradients.named_parameters import named, widened, with_leaves
from alljax.gradients.network_checks import picked, prepare
from alljax.gradients.typing import Apply, Images, Network, Params, Target

Result = TypeVar('Result')
Vector = Float[Array, ' size']
KINDS = ('hessian', 'ggn', 'fisher')


class Operator(NamedTuple):
    """A symmetric matrix that is only known by its products: `operator(vector)`."""

    product: Callable[[Vector], Vector]
    like: Vector  # a vector of its size and type: the parameters
    unravel: Callable[[Vector], Params]  # a vector as the tree of parameters that it stands for

    def __call__(self, vector: Vector) -> Vector:
        """The matrix times a vector [size]."""
        return self.product(vector)


class Density(NamedTuple):
    """A spectral density: how many eigenvalues lie where, as a part of all; its integral is 1."""

    eigenvalue: Float[Array, ' points']
    density: Float[Array, ' points']


class Batch(NamedTuple):
    """Some images; those that only fill the batch are not present."""

    x: Float[Array, 'batch height width channels']
    y: Int[Array, ' batch']
    present: Bool[Array, ' batch']
    weight: float | Float[Array, '']  # of each image's loss


class Matrix(NamedTuple):
    """The kind of curvature, and the parameters that its rows and columns stand for."""

    kind: str
    names: tuple[str, ...]


def curvature_operator(
    apply: Network, params: Params, x: Images, y: Target, *, kind: Literal['hessian', 'ggn', 'fisher'] = 'hessian',
    where: str | None = None, batch_size: int | None = None,
) -> Operator:  # fmt: skip
    """The curvature of the mean cross-entropy over images `x` with labels `y`, as products with vectors.

    'hessian' is that of the loss; 'ggn' the Gauss-Newton matrix, which for cross-entropy is the Fisher matrix of the
    network's own predictions; 'fisher' the empirical Fisher matrix, the mean of g gᵀ over the gradients of single
    examples. `where` is a regular expression over whole parameter names ('head/.*'): only those vary. Vectors hold the
    chosen parameters in the order of the tree. Parameters of half precision (bfloat16, float16) are taken in float32:
    Lanczos' method needs the digits. ValueError for an unknown kind, a pattern that matches no name, or a
    label that the network does not have.
    """
    if kind not in KINDS:
        raise ValueError(f'kind is {kind!r}; it may be {", ".join(map(repr, KINDS))}')
    check_counts('curvature_operator', batch_size=batch_size)
    check_params('curvature_operator', params)
    require_leaves('curvature_operator', params)
    params = widened(params)
    leaves = named(params)
    chosen = {name: leaf for name, leaf in leaves.items() if where is None or re.fullmatch(where, name)}
    if not chosen:
        raise ValueError(f'where is {where!r}: it matches none of {", ".join(list(leaves)[:6])}, …')
    check_trained('curvature_operator', params, chosen=chosen.__contains__)
    function, labels = prepare('curvature_operator', apply, params, x, y, 'y')
    flat, unravel = ravel_pytree(chosen)
    matrix, weight = Matrix(kind, tuple(chosen)), 1 / len(x)

    def product(vector: Vector) -> Vector:
        def of_batch(x: Array, y: Array, present: Array) -> Vector:
            part: Vector = _product(function, params, vector, Batch(x, y, present, weight), matrix)
            return part

        with jax.disable_jit(False):
            return batching.total(of_batch, batch_size, x, labels)

    return Operator(product, flat, lambda vector: with_leaves(params, leaves | unravel(vector)))


def eigenvalues(
    op: Operator, k: int = 1, *, key: Key[Array, ''], iterations: int | None = None,
    which: Literal['largest', 'smallest', 'magnitude'] = 'largest',
) -> Float[Array, ' found']:  # fmt: skip
    """The k largest eigenvalues, the smallest or those of largest magnitude, in that order, by Lanczos' method.

    With full reorthogonalization: without it, eigenvalues that have converged come again. A product and a vector of
    memory for each of the `iterations`, by default as many as find well separated eigenvalues to a part in a million.
    Equal eigenvalues are found once: there are fewer than k where the matrix has fewer different ones.
    """
    op = _checked('eigenvalues', op)
    check_counts('eigenvalues', iterations=iterations)
    size = op.like.size
    steps = min(size, iterations or max(8 * k + 40, 60))
    if not 1 <= k <= steps:
        raise ValueError(f'k is {k}: expected 1 to {steps}, the number of iterations')
    order = {'largest': lambda v: -v, 'smallest': lambda v: v, 'magnitude': lambda v: -np.abs(v)}
    if which not in order:
        raise ValueError(f'which is {which!r}; it may be {", ".join(map(repr, order))}')
    nodes, _ = _ritz('eigenvalues', op, jax.random.normal(key, op.like.shape, op.like.dtype), steps)
    return jnp.asarray(nodes[np.argsort(order[which](nodes))][:k])


def stochastic_trace(op: Operator, key: Key[Array, ''], probes: int = 32) -> tuple[Float[Array, ''], Float[Array, '']]:
    """An estimate of the trace and its standard error (Hutchinson 1990): one product for each of the `probes` signs."""
    op = _checked('stochastic_trace', op)
    check_counts('stochastic_trace', probes=probes)
    if probes < 2:
        raise ValueError(f'probes is {probes}: no standard error; expected 2 or more')
    estimate = stochtrace.estimator_monte_carlo(
        stochtrace.monte_carlo_trace(), stochtrace.sampler_signs(op.like, num=1)
    )
    found = jnp.stack([_outside(estimate, op.product, own) for own in jax.random.split(key, probes)])
    _require_finite('stochastic_trace', found)
    return found.mean(), found.std(ddof=1) / jnp.sqrt(probes)


def spectral_density(
    op: Operator, key: Key[Array, ''], *, probes: int = 8, iterations: int = 40, points: int = 1024,
    width: float = 0.01,
) -> Density:  # fmt: skip
    """The spectral density by stochastic Lanczos quadrature (Ghorbani et al. 2019, arXiv:1901.10159).

    Each eigenvalue that a probe finds is a normal curve, whose standard deviation is `width` of the range of them all.
    """
    op = _checked('spectral_density', op)
    check_counts('spectral_density', probes=probes, iterations=iterations, points=points)
    check_not_negative('spectral_density', width=width)
    steps = min(op.like.size, iterations)
    draw = stochtrace.sampler_signs(op.like, num=1)
    found = [_ritz('spectral_density', op, draw(own)[0], steps) for own in jax.random.split(key, probes)]
    nodes, weights = (np.concatenate(part) for part in zip(*found, strict=True))
    spread = width * max(nodes.max() - nodes.min(), 1e-6 * np.abs(nodes).max(), np.finfo(nodes.dtype).tiny)
    grid = np.linspace(nodes.min() - 6 * spread, nodes.max() + 6 * spread, points)
    curves = np.exp(-0.5 * ((grid[:, None] - nodes) / spread) ** 2) / (spread * np.sqrt(2 * np.pi))
    return Density(jnp.asarray(grid), jnp.asarray(curves @ weights / probes))


def _checked(function: str, op: Operator) -> Operator:
    """The operator on vectors of float32 or wider: half precision has too few digits to keep directions apart."""
    if not isinstance(op, Operator):
        raise ArgumentTypeError(f'{function}: op is {type(op).__name__}; expected an Operator, of curvature_operator')
    check_trained(function, op.like, 'op.like')
    dtype = op.like.dtype
    wide = jnp.promote_types(dtype, jnp.float32)
    if wide == dtype:
        return op
    return op._replace(product=lambda vector: op.product(vector.astype(dtype)).astype(wide), like=op.like.astype(wide))


def _require_finite(function: str, found: ArrayLike) -> None:
    if not np.isfinite(found).all():
        raise ValueError(
            f'{function}: op gives products with NaN or infinity; look for where they begin: in the loss, or in '
            'activations that overflow their type'
        )


def _ritz(function: str, op: Operator, start: Vector, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The eigenvalues that Lanczos' method finds from a vector, and the share of the vector in each."""
    lanczos = decomp.tridiag_sym(steps, reortho='full', custom_vjp=False)
    _, small, *_ = _outside(lanczos, op.product, start)
    small = np.asarray(small)
    found = _before_breakdown(small)
    _require_finite(function, small[:found, :found])  # what comes after is no number, nor is it used
    values, vectors = np.linalg.eigh(small[:found, :found])
    return values, vectors[0] ** 2


def _before_breakdown(small: Float[np.ndarray, 'steps steps']) -> int:
    """The number of steps that found something new.

    A matrix of low rank, as those of few images are, is spent early: the next direction is then rounding error made
    as long as one, and all that follows is nonsense.
    """
    limit, scale = 10 * np.finfo(small.dtype).eps ** 0.75, 0.0
    for step in range(len(small) - 1):
        scale = max(scale, abs(small[step, step]), abs(small[step, step + 1]))
        exact = np.isnan(small[step, step + 1]) and np.isfinite(small[step, step])  # nothing at all, divided by itself
        if exact or abs(small[step, step + 1]) <= limit * scale:
            return step + 1
    return len(small)


def _outside(function: Callable[..., Result], *arguments: Any) -> Result:
    """`function(*arguments)` with its loops in Python."""
    with jax.disable_jit():
        return function(*arguments)


@partial(jax.jit, static_argnames=('apply', 'matrix'))
def _product(apply: Apply, params: Params, flat: Vector, batch: Batch, matrix: Matrix) -> Vector:
    """The curvature of the weighted loss of the images that are present, times a vector."""
    leaves = named(params)
    here = {name: leaves[name] for name in matrix.names}
    vector = ravel_pytree(here)[1](flat)

    def logits(some: dict[str, Array]) -> Array:
        return apply(with_leaves(params, leaves | some), batch.x)

    if matrix.kind == 'hessian':

        def loss(some: dict[str, Array]) -> Array:
            log_probability = picked(jax.nn.log_softmax(logits(some)), batch.y)
            return -jnp.sum(log_probability * batch.present) * batch.weight

        return ravel_pytree(jax.jvp(jax.grad(loss), (here,), (vector,))[1])[0]
    # Both are Jᵀ M J, M being a matrix over the classes of each image.
    scores, change = jax.jvp(logits, (here,), (vector,))
    chance = jax.nn.softmax(scores)
    if matrix.kind == 'ggn':
        back = chance * (change - jnp.sum(chance * change, 1, keepdims=True))
    else:
        error = chance - jax.nn.one_hot(batch.y, scores.shape[1], dtype=scores.dtype)
        back = error * jnp.sum(error * change, 1, keepdims=True)
    back = back * batch.present[:, None] * batch.weight
    return ravel_pytree(jax.vjp(logits, here)[1](back)[0])[0]
