"""The devices of all processes as one: the cells of a batch are divided among them, all else lies on each of them.

One mesh axis, `data`. What is computed is what one device computes, whatever the number of cells, of devices and of
processes: the mean of a batch, its statistics and the padding of a smaller one are those of the whole batch.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float32, Integer, Shaped

from alljax.errors import UserError
from alljax.storage import hosts

AXIS = 'data'

Tree = TypeVar('Tree')


def mesh(count: int = 0) -> Mesh | None:
    """The first `count` devices of this process in a row, 0 for all of them; None for a single one."""
    return _row(jax.local_devices()[: count or None])


def mesh_of_all() -> Mesh | None:
    """The devices of all processes that train together in a row; None for a single one."""
    return _row(jax.devices())


def _row(found: list[Any]) -> Mesh | None:
    return Mesh(found, (AXIS,)) if len(found) > 1 else None


def divided(rows: Shaped[Array, 'batch ...'], among: Mesh | None) -> Shaped[Array, 'batch ...']:
    """Rows in a jitted program, each on one device, as evenly as their number allows."""
    return rows if among is None else jax.lax.with_sharding_constraint(rows, NamedSharding(among, PartitionSpec(AXIS)))


def on_each(tree: Tree, among: Mesh | None) -> Tree:
    """A tree of arrays with a copy on each device; those of other processes get theirs there, from the same tree."""
    if among is None:
        return tree
    everywhere = NamedSharding(among, PartitionSpec())
    if not among.is_multi_process:
        placed: Tree = jax.device_put(tree, everywhere)
        return placed

    def copied(leaf: Shaped[Array, '...']) -> Shaped[Array, '...']:
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, everywhere, host.__getitem__)

    found: Tree = jax.tree.map(copied, tree)
    return found


def kept_on_each(tree: Tree, among: Mesh | None) -> Tree:
    """`on_each` in a jitted program: what it gives lies where what it was given did."""
    return tree if among is None else jax.lax.with_sharding_constraint(tree, NamedSharding(among, PartitionSpec()))


def rows_here(count: int, among: Mesh | None) -> slice:
    """Those of the `count` rows of a batch that the devices of this process take; UserError if they cannot be divided.

    Rows that lie in one process are all here.
    """
    if among is None or not among.is_multi_process:
        return slice(0, count)
    if count % among.size:
        raise UserError(
            f'config.batch_size is {count}, and {among.size} devices share a batch that is read from the disk; set it '
            f'to a multiple of {among.size}, or raise config.data.device_cache_mb above the size of the data set'
        )
    places = NamedSharding(among, PartitionSpec(AXIS)).addressable_devices_indices_map((count,)).values()
    taken = [place[0].indices(count) for place in places if place]
    return slice(min(start for start, _, _ in taken), max(stop for _, stop, _ in taken))


def put_together(rows: Shaped[np.ndarray, 'here ...'], count: int, among: Mesh | None) -> Shaped[Array, 'batch ...']:
    """The `count` rows of a batch, each on the device that takes it, of the `rows_here` of each process."""
    if among is None or not among.is_multi_process:
        return on_each(jnp.asarray(rows), among)
    divided = NamedSharding(among, PartitionSpec(AXIS))
    whole: Shaped[Array, 'batch ...'] = jax.make_array_from_process_local_data(divided, rows, (count, *rows.shape[1:]))
    return whole


def of_this_process(tree: Tree) -> Tree:
    """A tree that lies on each device, as this process has it on its own, without the others to compute with."""
    own = mesh()

    def taken(leaf: Shaped[Array, '...']) -> Shaped[Array, '...']:
        if not isinstance(leaf, jax.Array) or leaf.is_fully_addressable:
            return leaf
        parts = [shard.data for shard in leaf.addressable_shards]
        if own is None:
            alone: Shaped[Array, '...'] = parts[0]
            return alone
        return jax.make_array_from_single_device_arrays(leaf.shape, NamedSharding(own, PartitionSpec()), parts)

    found: Tree = jax.tree.map(taken, tree)
    return found


def of_first(tree: Tree) -> Tree:
    """The very arrays of the first process, on all hosts alike; in a process that is alone the tree as it is."""
    if hosts.count() == 1:
        return tree
    found: Tree = jax.tree.map(jnp.asarray, multihost_utils.broadcast_one_to_all(tree))
    return found


def shared(
    compute: Callable[[Integer[np.ndarray, ' some']], Float32[np.ndarray, 'some ...']],
    index: Integer[np.ndarray, ' chosen'],
) -> Float32[np.ndarray, 'chosen ...']:
    """The rows that `compute` gives for the cells at `index`, of which each process computes an equal part."""
    if hosts.count() == 1:
        return compute(index)
    size = -(-len(index) // hosts.count())
    own = np.resize(index, size * hosts.count())[hosts.place() * size :][:size]
    rows: Float32[np.ndarray, 'padded ...'] = multihost_utils.process_allgather(compute(own), tiled=True)
    return rows[: len(index)]
