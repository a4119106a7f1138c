"""The devices of a process as one: the cells of a batch are divided among them, all else lies on each of them.

One mesh axis, `data`. What is computed is what one device computes, whatever the number of cells and of devices: the
mean of a batch, its statistics and the padding of a smaller one are those of the whole batch.
"""

from typing import TypeVar

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Shaped

AXIS = 'data'

Tree = TypeVar('Tree')


def mesh(count: int = 0) -> Mesh | None:
    """The first `count` devices of this process in a row, 0 for all of them; None for a single one."""
    found = jax.devices()[: count or None]
    return Mesh(found, (AXIS,)) if len(found) > 1 else None


def divided(rows: Shaped[Array, 'batch ...'], among: Mesh | None) -> Shaped[Array, 'batch ...']:
    """Rows in a jitted program, each on one device, as evenly as their number allows."""
    return rows if among is None else jax.lax.with_sharding_constraint(rows, NamedSharding(among, PartitionSpec(AXIS)))


def on_each(tree: Tree, among: Mesh | None) -> Tree:
    """A tree of arrays with a copy on each device."""
    return tree if among is None else jax.device_put(tree, NamedSharding(among, PartitionSpec()))


def kept_on_each(tree: Tree, among: Mesh | None) -> Tree:
    """`on_each` in a jitted program: what it gives lies where what it was given did."""
    return tree if among is None else jax.lax.with_sharding_constraint(tree, NamedSharding(among, PartitionSpec()))
