"""Random projections of the gradients of single examples, which keep their products (Johnson and Lindenstrauss 1984).

The signs that a gradient is multiplied with come from the key, block by block or as a vector for each side of a layer:
neither the gradients of all examples nor all signs are ever in memory.
"""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from alljax.gradients import factored_gradients
from alljax.gradients.factored_gradients import Factor, Pair
from alljax.gradients.named_parameters import matching
from alljax.gradients.typing import Loss, Params

Kind = Literal['dense', 'factored']
BLOCK = 2**22  # signs of a dense projection at once, about: 16 MB


class Projection(NamedTuple):
    """The parameters whose gradients are projected, and to what."""

    where: str | None  # a regular expression over whole names
    size: int
    kind: Kind


def of_batch(
    loss: Loss, params: Params, x: Array, y: Array, key: Key[Array, ''], projection: Projection
) -> Float[Array, 'batch size']:
    """The projections of the gradients of a batch, `size` numbers of each; products keep their expectation."""
    found = factored_gradients.per_example(loss, params, x, y, matching(projection.where))
    project = {'dense': dense, 'factored': factored}[projection.kind]
    keys = jax.random.split(key, len(found))
    parts = [project(factor, own, projection.size) for factor, own in zip(found.values(), keys, strict=True)]
    return jnp.asarray(sum(parts)) / jnp.sqrt(projection.size)


def dense(factor: Factor, key: Key[Array, ''], size: int) -> Float[Array, 'batch size']:
    """Sums of the gradient's numbers, with a sign of its own for each number in each sum."""
    u, b = _pair(factor)
    rows = _rows(u, b, size)
    count = -(-u.shape[3] // rows)
    u = jnp.pad(u, [(0, 0), (0, 0), (0, 0), (0, count * rows - u.shape[3])])

    def add(block: Array, total: Array) -> Array:
        some = jax.lax.dynamic_slice_in_dim(u, block * rows, rows, 3)
        gradient = jnp.einsum('ngpi,ngpo->ngio', some, b).reshape(len(u), -1)
        drawn: Array = jax.random.rademacher(jax.random.fold_in(key, block), (gradient.shape[1], size), gradient.dtype)
        return total + gradient @ drawn

    whole: Array = jax.lax.fori_loop(0, count, add, jnp.zeros((len(u), size), b.dtype))
    return whole


def factored(factor: Factor, key: Key[Array, ''], size: int) -> Float[Array, 'batch size']:
    """Products of two sums, with signs for what enters a layer and for what comes back to it (arXiv:2105.00105).

    As if each number's sign were the product of those of its row and its column: far fewer to draw, but less exact.
    """
    if not isinstance(factor, Pair):
        return dense(factor, key, size)
    one, other = jax.random.split(key)
    u, b = factor
    left: Array = jax.random.rademacher(one, (u.shape[1], u.shape[3], size), u.dtype)
    right: Array = jax.random.rademacher(other, (b.shape[1], b.shape[3], size), b.dtype)
    return jnp.sum(jnp.einsum('ngpi,gik->ngpk', u, left) * jnp.einsum('ngpo,gok->ngpk', b, right), (1, 2))


def _pair(factor: Factor) -> Pair:
    """The gradients of a parameter without factors as those of a layer of one output."""
    if isinstance(factor, Pair):
        return factor
    return Pair(factor[:, None, None], jnp.ones((len(factor), 1, 1, 1), factor.dtype))


def _rows(u: Array, b: Array, size: int) -> int:
    """The inputs of a block: those whose signs are about BLOCK, at least one."""
    return max(min(BLOCK // (size * b.shape[3] * u.shape[1]), u.shape[3]), 1)
