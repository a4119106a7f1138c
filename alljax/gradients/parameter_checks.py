"""The checks of trees of parameters: finite arrays, nothing beside the parameters where gradients are asked for."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from alljax.gradients.argument_checks import NO_NUMBERS, ArgumentTypeError, few, is_array, is_floating, not_finite
from alljax.gradients.named_parameters import named
from alljax.gradients.typing import Params


def check_params(function: str, params: Params, name: str = 'params') -> None:
    """A tree of arrays whose floats are finite; what else it holds is the network's own."""
    leaves = named(params)
    odd = [leaf for leaf, value in leaves.items() if not (is_array(value) or isinstance(value, int | float))]
    if odd:
        kind = type(leaves[odd[0]]).__name__
        raise ArgumentTypeError(f'{function}: {name} holds {kind} at {odd[0] or "its root"}; expected a tree of arrays')
    broken = not_finite(leaves)
    if broken:
        raise ValueError(f'{function}: {name} holds {NO_NUMBERS}: {few(broken)}; restore a good checkpoint')


def check_trained(
    function: str, params: Params, name: str = 'params', chosen: Callable[[str], object] | None = None
) -> None:
    """The same for a tree whose leaves vary, all or the `chosen` ones by name: floats, and parameters alone.

    Running statistics are no parameters: the loss in evaluation depends on them, but nothing trains them by gradient.
    """
    check_params(function, params, name)
    leaves = {leaf: value for leaf, value in named(params).items() if chosen is None or chosen(leaf)}
    require_leaves(function, params, name)
    others = [leaf for leaf in leaves if _beside_parameters(leaf, params)] + _statistics_of_nnx(params, leaves)
    if others:
        raise ValueError(
            f'{function}: {name} holds {few(others)} beside the parameters, which no gradient trains; give variables['
            "'params'] alone, and a function that adds the rest: "
            "lambda params, x: model.apply({**variables, 'params': params}, x)"
        )
    whole = [leaf for leaf, value in leaves.items() if not is_floating(value)]
    if whole:
        raise ArgumentTypeError(
            f'{function}: {name} holds {jnp.result_type(leaves[whole[0]])} at {few(whole)}; expected floats, which '
            'alone have gradients; keep the others outside (of NNX: nnx.split(model, nnx.Param, ...))'
        )


def require_leaves(function: str, params: Params, name: str = 'params') -> None:
    """ValueError for a tree of no arrays, which is none of parameters."""
    if not named(params):
        raise ValueError(f'{function}: {name} holds no arrays; expected a tree of parameters')


def check_same_tree(function: str, name: str, tree: Params, like: Params, like_name: str, axes: int = 0) -> None:
    """ValueError unless two trees have the same leaves, of the same shapes; `axes` come first in one of them."""
    one, other = named(tree), named(like)
    if one.keys() != other.keys():
        odd = sorted(one.keys() ^ other.keys())
        raise ValueError(f'{function}: {name} and {like_name} differ in {few(odd)}; expected trees of the same leaves')
    for leaf in one:
        if jnp.shape(one[leaf])[axes:] != jnp.shape(other[leaf]):
            raise ValueError(
                f'{function}: {name} has shape {jnp.shape(one[leaf])} at {leaf or "its root"}, {like_name} '
                f'{jnp.shape(other[leaf])}; expected the same'
            )


def _beside_parameters(leaf: str, tree: Params) -> bool:
    """True of a leaf of another collection than linen's 'params', where the tree has collections."""
    first, *rest = leaf.split('/')
    collections = isinstance(tree, Mapping) and 'params' in tree
    return (collections and first != 'params') or 'batch_stats' in (first, *rest)


def _statistics_of_nnx(tree: Params, leaves: Iterable[str]) -> list[str]:
    """The leaves that an NNX state marks as running statistics, by the type of the variable that holds them."""
    held, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=_is_nnx_statistic)
    places = [jax.tree_util.keystr(path, simple=True, separator='/') for path, leaf in held if _is_nnx_statistic(leaf)]
    return [leaf for leaf in leaves if any(leaf == place or leaf.startswith(f'{place}/') for place in places)]


def _is_nnx_statistic(leaf: Any) -> bool:
    kind = getattr(leaf, 'type', None)  # of a VariableState of earlier releases of flax
    kinds = (type(leaf), kind if isinstance(kind, type) else type(leaf))
    return any(base.__name__ == 'BatchStat' for one in kinds for base in one.__mro__)
