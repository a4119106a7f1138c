"""The precision in which a network is trained; its parameters and their updates are float32 in each of them.

float32 computes convolutions and matrix products in full. tf32 lets a GPU round what goes into them to ten bits, as it
does by itself, and CPUs compute in full. bfloat16 has the range of float32, so that no gradient is lost below it and
the loss needs no scale; statistics of batches, logits and the loss stay float32.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import jax
import jax.numpy as jnp

PRECISIONS = ('tf32', 'float32', 'bf16')

Tree = TypeVar('Tree')


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """Within it, what is traced has convolutions and matrix products of this precision."""
    with jax.default_matmul_precision('float32' if precision == 'float32' else None):
        yield


def lowered(tree: Tree, precision: str) -> Tree:
    """The float32 arrays of a tree as bfloat16, if that is asked for; the very same tree if not."""

    def lower(leaf: Any) -> Any:
        return leaf.astype(jnp.bfloat16) if leaf.dtype == jnp.float32 else leaf

    return jax.tree.map(lower, tree) if precision == 'bf16' else tree


def like(tree: Tree, before: Tree) -> Tree:
    """A tree in the types of another one of its form."""
    same: Tree = jax.tree.map(lambda leaf, old: leaf.astype(old.dtype), tree, before)
    return same
