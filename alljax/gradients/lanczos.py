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


BLOCK = 8  # directions in one array: the basis grows with what is found, so that memory and time are of these alone


class Ritz(NamedTuple):
    """The eigenvalues that were found from a start vector, in rising order; after them NaN, if it was spent early."""

    values: Float[Array, ' steps']
    vectors: Float[Array, 'steps steps']  # in the basis, one a column
    basis: tuple[Float[Array, '_ size'], ...]  # its directions, some in each array

    def in_full(self, ways: Float[Array, 'steps some']) -> Float[Array, 'some size']:
        """Vectors that are given in the basis."""
        ends = np.cumsum([len(block) for block in self.basis]).tolist()
        parts = [ways[end - len(block) : end].T @ block for block, end in zip(self.basis, ends, strict=True)]
        return jnp.asarray(sum(parts))


class State(NamedTuple):
    """The basis so far, the next direction and the one before, and the tridiagonal matrix."""

    basis: tuple[Float[Array, '_ size'], ...]
    vector: Vector
    before: Vector
    diagonal: Float[Array, ' steps']
    beside: Float[Array, ' steps']


def ritz(product: Callable[[Vector], Vector], start: Vector, steps: int) -> Ritz:
    """The eigenvalues and vectors that `steps` products find from a vector."""
    first = start / jnp.linalg.norm(start)
    state = State((), first, jnp.zeros_like(first), *jnp.zeros((2, steps), start.dtype))
    image = product(first)
    if known(image) and known(first):
        for step in range(steps):
            if step % BLOCK == 0:
                block = jnp.zeros((min(BLOCK, steps - step), start.size), start.dtype)
                state = state._replace(basis=(*state.basis, block))
            state = _extended(state, image if step == 0 else product(state.vector), step)
    else:
        state = state._replace(basis=(jnp.zeros((steps, start.size), start.dtype),))
        state = jax.lax.fori_loop(0, steps, lambda step, state: _extended(state, product(state.vector), step), state)
    values, vectors = _solved(state.diagonal, state.beside)
    return Ritz(values, vectors, state.basis)


_dot = partial(jnp.dot, precision='highest')  # GPUs would keep ten bits of each factor


def _extended(state: State, image: Vector, step: int | Int[Array, '']) -> State:
    """A direction more; after the recurrence alone, eigenvalues that have converged would come again."""
    *full, last = state.basis
    basis = (*full, _placed(last, state.vector, step - sum(map(len, full))))
    along, image = _recurrence(state.vector, state.before, state.beside, image, step)
    for block in basis:
        image = _without(block, image)
    following, length = _direction(image)
    diagonal, beside = state.diagonal.at[step].set(along), state.beside.at[step].set(length)
    return State(basis, following, state.vector, diagonal, beside)


@partial(jax.jit, donate_argnums=0)
def _placed(block: Float[Array, '_ size'], vector: Vector, row: int | Int[Array, '']) -> Float[Array, '_ size']:
    return block.at[row].set(vector)


@jax.jit
def _recurrence(
    vector: Vector, before: Vector, beside: Float[Array, ' steps'], image: Vector, step: int | Int[Array, '']
) -> tuple[Float[Array, ''], Vector]:
    """The part of the image along the direction, and the rest of it, less that along the direction before."""
    along = _dot(vector, image)
    last = jnp.where(step > 0, beside[step - 1], 0)
    return along, image - along * vector - last * before


@jax.jit
def _without(block: Float[Array, '_ size'], image: Vector) -> Vector:
    rest: Vector = image - _dot(_dot(block, image), block)
    return rest


@jax.jit
def _direction(image: Vector) -> tuple[Vector, Float[Array, '']]:
    length = jnp.linalg.norm(image)
    return image / jnp.where(length > 0, length, 1), length


@jax.jit
def _solved(
    diagonal: Float[Array, ' steps'], beside: Float[Array, ' steps']
) -> tuple[Float[Array, ' steps'], Float[Array, 'steps steps']]:
    """The eigenvalues of the tridiagonal matrix as far as its steps found something new, and its vectors.

    A matrix of low rank, as those of few images are, is spent early: the next direction is then rounding error made
    as long as one, and all that follows is nonsense.
    """
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
