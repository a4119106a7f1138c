"""Trees of variables by name: 'params/conv1/kernel' → leaf."""

from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

# Any: a leaf may be an array of JAX or of NumPy, a shape, or what else a tree of JAX can hold
Tree = dict[str, Any]
Flat = dict[str, Any]


def flatten(tree: Tree) -> Flat:
    """The leaves of a tree by name."""
    return dict(flatten_dict(tree, sep='/'))


def unflatten(flat: Flat) -> Tree:
    """The inverse of `flatten`."""
    return dict(unflatten_dict(flat, sep='/'))
