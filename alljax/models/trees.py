"""Variables by name: 'params/conv1/kernel' → leaf."""

from typing import Any

from flax.traverse_util import flatten_dict, unflatten_dict

Flat = dict[str, Any]


def flatten(tree: dict[str, Any]) -> Flat:
    """A tree as names and leaves."""
    return flatten_dict(tree, sep='/')


def unflatten(flat: Flat) -> dict[str, Any]:
    """The inverse of `flatten`."""
    return unflatten_dict(flat, sep='/')
