"""Many inputs in batches of one shape: memory is bounded, and one compiled program serves all of them.

The loop is Python's, because XLA:CPU computes convolutions within its own loops on one core, and their gradients up to
eighty times slower than outside.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Int

from alljax.gradients.argument_checks import known
from alljax.gradients.typing import Rows

Tree = TypeVar('Tree')  # an array, or a tree of some
AT_ONCE = 32  # inputs at least, where the memory is not bounded: fewer leave the cores without work


def rows(function: Callable[..., Tree], batch_size: int | None, *arrays: Rows) -> Tree:
    """`function(*arrays)`, whose results have a row for each row of the arrays, computed in batches.

    The last batch is filled up with rows that are dropped again. Where the rows of the first array lie on several
    devices, those of each batch and of the result do too. ValueError for arrays of different lengths.
    """
    parts = [
        jax.tree.map(lambda leaf, count=count: leaf if count == len(leaf) else _auto(leaf)[:count], function(*batch))
        for batch, count in _batches(batch_size, *arrays)
    ]
    if len(parts) == 1:
        only: Tree = parts[0]
        return only
    whole: Tree = jax.tree.map(
        lambda *leaves: spread(jnp.concatenate([_auto(leaf) for leaf in leaves]), arrays[0]), *parts
    )
    return whole


def copies_at_once(rows: int, copies: int, batch_size: int | None) -> int:
    """The number of copies of all rows that are computed at once: in parts of one size, with the fewest to fill up.

    `batch_size` bounds the rows of all of them together; without it they are AT_ONCE at most. One copy at least.
    """
    most = max(1, (batch_size or AT_ONCE) // rows)
    return -(-copies // -(-copies // most))


def pairs(
    function: Callable[[np.ndarray, np.ndarray], Array], rows: int, columns: int, batch_size: int | None
) -> Float[Array, 'rows columns ...']:
    """Numbers for each row and column, from `function(row, column)` of indices, `batch_size` pairs at once.

    Without a `batch_size` they are at most AT_ONCE, or as many as there are rows, in parts of one size.
    """
    size = batch_size or copies_at_once(1, rows * columns, max(AT_ONCE, rows))
    parts = [function(*np.divmod(pair, columns))[:count] for pair, count in chunks(rows * columns, size)]
    found = jnp.concatenate(parts)
    return found.reshape(rows, columns, *found.shape[1:])


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


def take(array: Rows, index: Int[np.ndarray, ' chosen']) -> Array:
    """Some rows of an array, on the same devices as its own."""
    return spread(jnp.asarray(_auto(array)[index]), array)


def spread(batch: Array, like: Rows) -> Array:
    """A batch whose rows lie on the devices on which those of `like` do, if they can be divided among them."""
    rows = _devices_of_rows(like)
    if rows is None or not known(batch) or len(batch) % rows[1]:
        return batch
    spec = PartitionSpec(rows[0].spec[0], *[None] * (batch.ndim - 1))
    placed: Array = jax.device_put(batch, NamedSharding(rows[0].mesh, spec))
    return placed


def _devices_of_rows(array: Rows) -> tuple[NamedSharding, int] | None:
    """The sharding of an array whose rows are divided among devices, and into how many parts."""
    sharding = array.sharding if isinstance(array, jax.Array) and known(array) else None
    if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
        return None
    parts = len(array) // sharding.shard_shape(array.shape)[0]
    return (sharding, parts) if parts > 1 else None


def _auto(array: Rows) -> Rows:
    """The array where it lies, of a mesh whose axes leave it to XLA what lies where: others refuse to be indexed."""
    sharding = array.sharding if isinstance(array, jax.Array) and known(array) else None
    if not isinstance(sharding, NamedSharding) or not isinstance(sharding.mesh, Mesh):
        return array
    mesh = Mesh(sharding.mesh.devices, sharding.mesh.axis_names)
    placed: Array = jax.device_put(array, NamedSharding(mesh, sharding.spec))
    return placed


def _present(size: int, count: int) -> Bool[Array, ' size']:
    return jnp.arange(size) < count


def _batches(batch_size: int | None, *arrays: Rows) -> Iterator[tuple[tuple[Any, ...], int]]:
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise ValueError(f'the arrays have {" and ".join(map(str, sorted(lengths)))} rows; expected as many of each')
    (length,) = lengths
    devices = _devices_of_rows(arrays[0])
    if devices and batch_size:  # as many rows on each device, and one at least
        batch_size = max(batch_size // devices[1], 1) * devices[1]
    for index, count in chunks(length, batch_size):
        if count == length:
            yield tuple(map(jnp.asarray, arrays)), count
            return
        chosen = index if count < len(index) else slice(index[0], index[-1] + 1)  # a slice is not copied on the host
        yield tuple(spread(jnp.asarray(_auto(array)[chosen]), arrays[0]) for array in arrays), count
