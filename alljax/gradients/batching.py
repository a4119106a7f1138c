"""Many images in batches of one shape: memory is bounded, and one compiled program serves all of them.

The loop is Python's, because XLA:CPU computes convolutions within its own loops on one core, and their gradients up to
eighty times slower than outside.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from alljax.gradients.typing import Rows

Tree = TypeVar('Tree')  # an array, or a tree of some


def rows(function: Callable[..., Tree], batch_size: int | None, *arrays: Rows) -> Tree:
    """`function(*arrays)`, whose results have a row for each row of the arrays, computed in batches.

    The last batch is filled up with rows that are dropped again. ValueError for arrays of different lengths.
    """
    parts = [
        jax.tree.map(lambda leaf, count=count: leaf[:count], function(*batch))
        for batch, count in _batches(batch_size, *arrays)
    ]
    whole: Tree = parts[0] if len(parts) == 1 else jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    return whole


def pairs(
    function: Callable[[np.ndarray, np.ndarray], Array], rows: int, columns: int, batch_size: int
) -> Float[Array, 'rows columns']:
    """A number for each row and column, from `function(row, column)` of indices, `batch_size` pairs at once."""
    parts = [function(*np.divmod(pair, columns))[:count] for pair, count in chunks(rows * columns, batch_size)]
    return jnp.concatenate(parts).reshape(rows, columns)


def total(function: Callable[..., Tree], batch_size: int | None, *arrays: Rows) -> Tree:
    """The sum over batches of `function(*batch, present)`; `present` is false where a row only fills the batch."""
    batches = _batches(batch_size, *arrays)
    batch, count = next(batches)
    whole = function(*batch, _present(len(batch[0]), count))
    for batch, count in batches:
        whole = jax.tree.map(jnp.add, whole, function(*batch, _present(len(batch[0]), count)))
    return whole


def chunks(length: int, batch_size: int | None) -> Iterator[tuple[Int[np.ndarray, ' size'], int]]:
    """Indices of batches of one size, and how many of each count: the last ones may fill up a batch again.

    ValueError for no rows, or a size below 1.
    """
    if not length:
        raise ValueError('there are no rows to compute with')
    if batch_size is not None and batch_size < 1:
        raise ValueError(f'batch_size is {batch_size}: expected 1 or more, or None for all rows at once')
    size = min(batch_size or length, length)
    for start in range(0, length, size):
        count = min(size, length - start)
        yield start + np.arange(size) % count, count


def _present(size: int, count: int) -> Bool[Array, ' size']:
    return jnp.arange(size) < count


def _batches(batch_size: int | None, *arrays: Rows) -> Iterator[tuple[tuple[Any, ...], int]]:
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise ValueError(f'the arrays have {" and ".join(map(str, sorted(lengths)))} rows; expected as many of each')
    (length,) = lengths
    for index, count in chunks(length, batch_size):
        chosen = index if count < len(index) else slice(index[0], index[-1] + 1)  # a slice is not copied on the host
        yield tuple(jnp.asarray(array[chosen]) for array in arrays), count
