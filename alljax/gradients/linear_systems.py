"""The inverse of a curvature times a vector, by conjugate gradients.

The loop runs in Python around a product that is compiled once, as that of `lanczos` does and for the same reason;
within another program (`jax.jit`, `jax.vmap`) it is XLA's.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from alljax.gradients.argument_checks import (
    NO_NUMBERS,
    ArgumentTypeError,
    check_counts,
    check_not_negative,
    is_array,
    known,
)
from alljax.gradients.curvature import Operator, Vector
from alljax.gradients.parameter_checks import check_params
from alljax.gradients.spectrum import checked_operator, direction
from alljax.gradients.typing import Params


class State(NamedTuple):
    """The solution so far, what it misses, and the next direction."""

    solution: Vector
    residual: Vector
    way: Vector
    share: Float[Array, '']  # residual · preconditioned residual
    along: Float[Array, '']  # the curvature along the last direction, of length 1


def conjugate_gradients(
    op: Operator, tree: Params, *, damping: float | Float[Array, ''] = 0.0, iterations: int = 100,
    tolerance: float = 1e-5, preconditioner: Callable[[Params], Params] | None = None,
) -> tuple[Params, Float[Array, '']]:  # fmt: skip
    """The solution of (op + `damping` × identity) solution = tree, and the relative length of what it misses.

    `tree` is a tree of parameters of any shapes, such as a gradient, or a vector [size]; the solution is of the same
    form, and zero for parameters that do not vary. It ends after so many `iterations`, a product each, or where what is
    missed is below `tolerance` × the length of `tree`: look at the second result, which one more product finds. A
    `preconditioner` is a function that maps `tree` nearly to its solution, as `lambda tree:
    kronecker_solve(factors, tree, damping)` does. The matrix has to be positive: ValueError where it curves down, as a
    Hessian may; within `jit`, where nobody is told, the solution then is NaN. Can be jitted.

    >>> op = gradients.curvature_operator(apply, params, x, y, kind='ggn')
    >>> step, missed = gradients.conjugate_gradients(op, params, damping=0.1, iterations=20)
    """
    function = 'conjugate_gradients'
    op = checked_operator(function, op)
    check_counts(function, iterations=iterations)
    check_not_negative(function, damping=damping, tolerance=tolerance)
    wanted, is_tree = _vector(function, op, tree)

    def precondition(vector: Vector) -> Vector:
        if preconditioner is None:
            return vector
        given = preconditioner(direction(op, vector) if is_tree else vector)
        found: Vector = op.ravel(given) if is_tree and op.ravel is not None else jnp.asarray(given)
        return found.astype(vector.dtype)

    def product(vector: Vector) -> Vector:
        return op.product(vector) + damping * vector

    limit = tolerance * jnp.linalg.norm(wanted)

    def goes_on(state: State) -> Array:
        left: Array = jnp.linalg.norm(state.residual) > limit
        return left & (state.along > 0) & (state.share > 0)

    first = precondition(wanted)
    state = State(jnp.zeros_like(wanted), wanted, first, wanted @ first, jnp.ones((), wanted.dtype))
    image = product(first)
    if known(image) and known(state.share):
        for step in range(iterations):
            if not goes_on(state):
                break
            state = _step(state, image if step == 0 else product(state.way), precondition)
        _check_end(function, state, limit)
    else:
        _, state = jax.lax.while_loop(
            lambda held: goes_on(held[1]) & (held[0] < iterations),
            lambda held: (held[0] + 1, _step(held[1], product(held[1].way), precondition)),
            (0, state),
        )
    lost = ~(state.along > 0) | (~(state.share > 0) & (jnp.linalg.norm(state.residual) > limit))
    solution = jnp.where(lost, jnp.nan, state.solution)
    length = jnp.linalg.norm(wanted)
    missed = jnp.linalg.norm(wanted - product(solution)) / jnp.where(length > 0, length, 1)
    return direction(op, solution) if is_tree else solution, missed


def _step(state: State, image: Vector, precondition: Callable[[Vector], Vector]) -> State:
    solution, residual, along = _moved(state, image)
    turned: State = _turned(state, State(solution, residual, precondition(residual), state.share, along))
    return turned


@jax.jit
def _moved(state: State, image: Vector) -> tuple[Vector, Vector, Array]:
    curvature = jnp.dot(state.way, image, precision='highest')
    size = state.share / jnp.where(curvature > 0, curvature, 1)
    along = curvature / jnp.dot(state.way, state.way, precision='highest')
    return state.solution + size * state.way, state.residual - size * image, along


@jax.jit
def _turned(before: State, after: State) -> State:
    share = jnp.dot(after.residual, after.way, precision='highest')
    return after._replace(way=after.way + share / before.share * before.way, share=share)


def _check_end(function: str, state: State, limit: Array) -> None:
    if not np.isfinite(state.along) or not np.isfinite(state.share):
        raise ValueError(f'{function}: op or preconditioner gives {NO_NUMBERS}; look for where it begins')
    if state.along <= 0:
        raise ValueError(
            f'{function}: op is not positive: with the damping its curvature along a direction is '
            f"{float(state.along):.3g}; take kind='ggn' or a larger damping"
        )
    if state.share <= 0 and jnp.linalg.norm(state.residual) > limit:
        raise ValueError(f'{function}: preconditioner is not positive: it turns a direction around')


def _vector(function: str, op: Operator, tree: Params) -> tuple[Vector, bool]:
    """The right side as a vector, and True if it was a tree."""
    check_params(function, tree, 'tree')
    if is_array(tree):
        if tree.shape != op.like.shape:
            raise ValueError(f'{function}: tree is of shape {tree.shape}; expected a vector of shape {op.like.shape}')
        return jnp.asarray(tree, op.like.dtype), False
    if op.ravel is None:
        raise ArgumentTypeError(f'{function}: tree is a tree, which this op has no `ravel` for; give a vector')
    try:
        vector = op.ravel(tree)
    except KeyError as lacking:
        raise ValueError(f'{function}: tree lacks {lacking}; expected a tree of the parameters that op is of') from None
    if vector.shape != op.like.shape:
        raise ValueError(
            f'{function}: tree has {vector.size} numbers where op has {op.like.size}; expected the same shapes'
        )
    return vector.astype(op.like.dtype), True
