"""Trees of parameters by name: 'conv1/kernel' → leaf, for any tree that JAX knows."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from alljax.gradients.typing import Params

# The field of an NNX variable that holds its array: the names end with the variable, as those of other libraries do.
HELD = (jax.tree_util.GetAttrKey('value'), jax.tree_util.GetAttrKey('raw_value'))


def named(tree: Params) -> dict[str, Any]:  # Any: arrays, or what stands for their shapes
    """The leaves of a tree by name, in JAX's order; the array of an NNX variable has the name of the variable."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        jax.tree_util.keystr(path[:-1] if path and path[-1] in HELD else path, simple=True, separator='/'): leaf
        for path, leaf in leaves
    }


def with_leaves(tree: Params, leaves: Mapping[str, Any]) -> Params:
    """The tree with other leaves of the same names."""
    return jax.tree.unflatten(jax.tree.structure(tree), [leaves[name] for name in named(tree)])


def wide(array: Any) -> Any:
    """An array of half precision (bfloat16, float16) in float32; any other as it is."""
    half = jnp.issubdtype(array.dtype, jnp.floating) and array.dtype.itemsize < 4
    return jnp.asarray(array, jnp.float32) if half else array


def widened(tree: Params) -> Params:
    """The tree with its leaves of half precision (bfloat16, float16) in float32; the others as they are."""
    return jax.tree.map(wide, tree)


def matching(where: str | None) -> Callable[[str], object]:
    """The names that a regular expression matches as a whole; all without one."""
    return re.compile('.*' if where is None else where).fullmatch


def layer(name: str) -> str:
    """The layer of a leaf: 'head/hidden' of 'head/hidden/kernel'; a leaf in no layer is its own."""
    return name.rpartition('/')[0] or name


def by_layer(leaves: Iterable[str]) -> dict[str, list[str]]:
    """Layer → the names of its leaves."""
    layers: dict[str, list[str]] = {}
    for name in leaves:
        layers.setdefault(layer(name), []).append(name)
    return layers
