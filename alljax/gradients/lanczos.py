"""Lanczos' method with full reorthogonalization: the eigenvalues and vectors of a matrix known by its products.

Its loop runs in Python, around products and steps that are compiled once for their shapes: XLA:CPU computes the
gradients of convolutions within its own loops up to eighty times slower. Within another program (`jax.jit`, `jax.vmap`)
the loop is XLA's, so that the program stays small. After each BLOCK of steps it looks whether enough is found: a step
costs as much as there are directions before it, so that the last ones cost most.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from alljax.gradients.argument_checks import known

Vector = Float[Array, ' size']


BLOCK = 8  # directions in one array: the basis grows with what is found, so that memory and time are of these alone


class Pairs(NamedTuple):
    """The eigenvalues that were found, in rising order, and their vectors; after them NaN, if fewer than steps were."""

    values: Float[Array, ' steps']
    vectors: Float[Array, 'steps steps']  # in the basis, one a column
    residuals: Float[Array, ' steps']  # |A v − value v|
    spent: Bool[Array, '']  # nothing more comes from the start vector


Enough = Callable[[Pairs], Bool[Array, '']]  # true where no further step is wanted


class Ritz(NamedTuple):
    """The pairs found from a start vector, and the directions of the basis, some in each array."""

    pairs: Pairs
    basis: tuple[Float[Array, '_ size'], ...]

    def in_full(self, ways: Float[Array, 'steps some']) -> Float[Array, 'some size']:
        """Vectors that are given in the basis."""
        ends = np.cumsum([len(block) for block in self.basis]).tolist()
        parts = [_added_up(ways[end - len(block) : end], block) for block, end in zip(self.basis, ends, strict=True)]
        return jnp.asarray(sum(parts))


class State(NamedTuple):
    """The basis so far, the next direction and the one before, and the tridiagonal matrix."""

    basis: tuple[Float[Array, '_ size'], ...]
    vector: Vector
    before: Vector
    diagonal: Float[Array, ' steps']
    beside: Float[Array, ' steps']


Carried = tuple[Int[Array, ''], State, Pairs, Bool[Array, '']]  # steps so far, what they found, and whether to end


def ritz(
    product: Callable[[Vector], Vector], start: Vector, steps: int, enough: Enough = lambda pairs: pairs.spent
) -> Ritz:  # fmt: skip
    """The eigenvalues and vectors that up to `steps` products find from a vector."""
    first = start / jnp.linalg.norm(start)
    state = State((), first, jnp.zeros_like(first), *jnp.zeros((2, steps), start.dtype))
    image = product(first)
    if not (known(image) and known(first)):
        return _traced(product, state, steps, enough)
    for begin in range(0, steps, BLOCK):
        end = min(begin + BLOCK, steps)
        state = state._replace(basis=(*state.basis, jnp.zeros((end - begin, start.size), start.dtype)))
        for step in range(begin, end):
            state = _extended(state, image if step == 0 else product(state.vector), step)
        pairs = _solved(state.diagonal, state.beside, end)
        done = enough(pairs)
        if known(done) and done:
            break
    return Ritz(pairs, state.basis)


def _traced(product: Callable[[Vector], Vector], state: State, steps: int, enough: Enough) -> Ritz:
    """The same within another program."""
    state = state._replace(basis=(jnp.zeros((steps, state.vector.size), state.vector.dtype),))

    def block(carried: Carried) -> Carried:
        begin, state, *_ = carried
        end = jnp.minimum(begin + BLOCK, steps)
        state = jax.lax.fori_loop(begin, end, lambda step, state: _extended(state, product(state.vector), step), state)
        pairs = _solved(state.diagonal, state.beside, end)
        return end, state, pairs, (end == steps) | enough(pairs)

    none = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(_solved, *state[3:], 0))
    _, state, pairs, _ = jax.lax.while_loop(
        lambda carried: ~carried[3], block, (jnp.array(0), state, none, jnp.array(False))
    )
    return Ritz(pairs, state.basis)


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
def _added_up(ways: Float[Array, '_ some'], block: Float[Array, '_ size']) -> Float[Array, 'some size']:
    """The sums of some directions."""
    return ways.T @ block


@jax.jit
def _solved(diagonal: Float[Array, ' steps'], beside: Float[Array, ' steps'], done: int | Int[Array, '']) -> Pairs:
    """The eigenvalues of the tridiagonal matrix as far as its steps found something new, and its vectors.

    A matrix of low rank, as those of few images are, is spent early: the next direction is then rounding error made
    as long as one, and all that follows is nonsense.
    """
    place = jnp.arange(len(diagonal))
    scale = jax.lax.cummax(jnp.maximum(jnp.abs(diagonal), beside))
    spent = (beside <= 10 * np.finfo(diagonal.dtype).eps ** 0.75 * scale) & (place < done)
    last = jnp.argmax(spent | (place == done - 1))
    kept = place <= last
    inner = jnp.where(place < last, beside, 0)[:-1]
    above = 4 * jnp.max(jnp.where(kept, jnp.abs(diagonal), 0)) + 4 * jnp.sum(inner) + 1  # than all eigenvalues
    small = jnp.diag(jnp.where(kept, diagonal, above)) + jnp.diag(inner, 1) + jnp.diag(inner, -1)
    values, vectors = jnp.linalg.eigh(small)  # in rising order, so that those of what is not kept come last
    residuals = beside[last] * jnp.abs(vectors[last])
    values, residuals = (jnp.where(kept, found, jnp.nan) for found in (values, residuals))
    return Pairs(values, jnp.where(kept, vectors, 0), residuals, spent[last])
