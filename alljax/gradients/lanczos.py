"""Lanczos' method with full reorthogonalization: the eigenvalues and vectors of a matrix known by its products.

Its loop runs in Python, around products and steps that are compiled once for their shapes: XLA:CPU computes the
gradients of convolutions within its own loops up to eighty times slower. Within another program (`jax.jit`, `jax.vmap`)
the loop is XLA's, so that the program stays small.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from alljax.gradients.argument_checks import known

Vector = Float[Array, ' size']


class Ritz(NamedTuple):
    """The eigenvalues that were found from a start vector, in rising order; after them NaN, if it was spent early."""

    values: Float[Array, ' steps']
    vectors: Float[Array, 'steps steps']  # in the basis, one a column
    basis: Float[Array, 'steps size']


class State(NamedTuple):
    """The basis so far, the next direction, and the tridiagonal matrix."""

    basis: Float[Array, 'steps size']
    vector: Vector
    diagonal: Float[Array, ' steps']
    beside: Float[Array, ' steps']


def ritz(product: Callable[[Vector], Vector], start: Vector, steps: int) -> Ritz:
    """The eigenvalues and vectors that `steps` products find from a vector."""
    first = start / jnp.linalg.norm(start)
    state = State(jnp.zeros((steps, start.size), start.dtype), first, *jnp.zeros((2, steps), start.dtype))
    image = product(first)
    if known(image) and known(first):
        for step in range(steps):
            state = _extended(state, image if step == 0 else product(state.vector), step)
    else:
        state = jax.lax.fori_loop(0, steps, lambda step, state: _extended(state, product(state.vector), step), state)
    values, vectors = _solved(state)
    return Ritz(values, vectors, state.basis)


_dot = partial(jnp.dot, precision='highest')  # GPUs would keep ten bits of each factor


@partial(jax.jit, donate_argnums=0)
def _extended(state: State, image: Vector, step: int | Int[Array, '']) -> State:
    basis = state.basis.at[step].set(state.vector)
    along = _dot(state.vector, image)
    for _ in range(2):  # once leaves rounding errors behind, by which eigenvalues that have converged come again
        image = image - _dot(basis.T, _dot(basis, image))
    length = jnp.linalg.norm(image)
    following = image / jnp.where(length > 0, length, 1)
    return State(basis, following, state.diagonal.at[step].set(along), state.beside.at[step].set(length))


@jax.jit
def _solved(state: State) -> tuple[Float[Array, ' steps'], Float[Array, 'steps steps']]:
    """The eigenvalues of the tridiagonal matrix as far as its steps found something new, and its vectors.

    A matrix of low rank, as those of few images are, is spent early: the next direction is then rounding error made
    as long as one, and all that follows is nonsense.
    """
    diagonal, beside = state.diagonal, state.beside
    steps = len(diagonal)
    scale = jax.lax.cummax(jnp.maximum(jnp.abs(diagonal), beside))
    spent = (beside <= 10 * np.finfo(diagonal.dtype).eps ** 0.75 * scale).at[-1].set(True)
    found = jnp.argmax(spent) + 1
    kept = jnp.arange(steps) < found
    beside = jnp.where(kept & (jnp.arange(steps) < found - 1), beside, 0)[: steps - 1]
    above = 4 * jnp.max(jnp.where(kept, jnp.abs(diagonal), 0)) + 4 * jnp.sum(beside) + 1  # than all eigenvalues
    small = jnp.diag(jnp.where(kept, diagonal, above)) + jnp.diag(beside, 1) + jnp.diag(beside, -1)
    values, vectors = jnp.linalg.eigh(small)
    return jnp.where(kept, values, jnp.nan), jnp.where(kept, vectors, 0)  # in rising order, the others come last
