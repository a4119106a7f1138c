"""The checks of arguments that every public function makes first: images, labels, parameters, maps and counts.

Shapes and types are checked always. Values can be checked outside of tracing only: within `jax.jit` nobody knows them
yet. Each sentence begins with the function and its argument, and ends with the fix.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool

from alljax.gradients.named_parameters import named
from alljax.gradients.typing import Attribution, AttributionMap, Images, Params, Rows, Target

NO_NUMBERS = 'NaN or infinity, so no result would mean anything'


class ArgumentTypeError(TypeError, ValueError):
    """An argument of another type; a ValueError too, as all errors of these checks are."""


def check_images(function: str, x: Images | jax.ShapeDtypeStruct, name: str = 'x') -> None:
    """The images of a network: floats [batch, height, width, channels], one or more, all finite."""
    _require_array(function, name, x)
    if len(x.shape) != 4:
        raise ValueError(f'{function}: {name} has shape {x.shape}; expected images [batch, height, width, channels]')
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise ArgumentTypeError(
            f'{function}: {name} is {x.dtype}: gradients need floats; normalize the images as the network expects them'
        )
    _require_rows(function, name, x)
    check_finite(function, name, x)


def check_examples(function: str, x: Rows, y: Rows, x_name: str = 'x', y_name: str = 'y') -> None:
    """Examples of a loss, of any rank: a label or more numbers for each, integers from 0 or floats, all finite."""
    for name, rows in ((x_name, x), (y_name, y)):
        _require_array(function, name, rows)
        if not rows.shape:
            raise ValueError(f'{function}: {name} is one number; expected a row for each example')
    if len(x) != len(y):
        raise ValueError(
            f'{function}: {y_name} and {x_name}: the arrays have {len(y)} and {len(x)} rows; expected a label for each '
            'example'
        )
    _require_rows(function, x_name, x)
    check_finite(function, x_name, x)
    check_finite(function, y_name, y)
    if jnp.issubdtype(y.dtype, jnp.integer) and known(y) and np.asarray(y).min() < 0:
        raise ValueError(
            f'{function}: {y_name} goes down to {np.asarray(y).min()}: integers are classes, from 0; leave examples '
            'without a label out, and give targets of a regression as floats'
        )


def check_classes(function: str, wanted: Target, images: int, count: int | None = None, name: str = 'target') -> None:
    """Classes: integers from 0, and below the `count` of the network's if that is known; one, or one for each image."""
    found: Any = wanted if hasattr(wanted, 'dtype') else np.asarray(wanted)
    if not jnp.issubdtype(found.dtype, jnp.integer):
        raise ArgumentTypeError(f'{function}: {name} is {found.dtype}; expected classes as integers, from 0')
    if found.shape not in ((), (images,)):
        raise ValueError(
            f'{function}: {name} has shape {found.shape} for {images} images; expected one class, or one for each image'
        )
    if not known(found):
        return
    least, most = int(np.asarray(found).min()), int(np.asarray(found).max())
    if least < 0 or (count is not None and most >= count):
        there = 'classes are counted from 0' if count is None else f'the network has {count} logits, from 0'
        raise ValueError(f'{function}: {name} names class {least if least < 0 else most}: {there}')


def check_params(function: str, params: Params, name: str = 'params') -> None:
    """A tree of arrays whose floats are finite; what else it holds is the network's own."""
    leaves = named(params)
    odd = [leaf for leaf, value in leaves.items() if not (_is_array(value) or isinstance(value, int | float))]
    if odd:
        kind = type(leaves[odd[0]]).__name__
        raise ArgumentTypeError(f'{function}: {name} holds {kind} at {odd[0] or "its root"}; expected a tree of arrays')
    broken = _not_finite(leaves)
    if broken:
        raise ValueError(f'{function}: {name} holds {NO_NUMBERS}: {_few(broken)}; restore a good checkpoint')


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
            f'{function}: {name} holds {_few(others)} beside the parameters, which no gradient trains; give variables['
            "'params'] alone, and a function that adds the rest: "
            "lambda params, x: model.apply({**variables, 'params': params}, x)"
        )
    whole = [leaf for leaf, value in leaves.items() if not _is_floating(value)]
    if whole:
        raise ArgumentTypeError(
            f'{function}: {name} holds {leaves[whole[0]].dtype} at {_few(whole)}; expected floats, which alone have '
            'gradients'
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
        raise ValueError(f'{function}: {name} and {like_name} differ in {_few(odd)}; expected trees of the same leaves')
    for leaf in one:
        if jnp.shape(one[leaf])[axes:] != jnp.shape(other[leaf]):
            raise ValueError(
                f'{function}: {name} has shape {jnp.shape(one[leaf])} at {leaf or "its root"}, {like_name} '
                f'{jnp.shape(other[leaf])}; expected the same'
            )


def check_map(
    function: str, attribution: AttributionMap, name: str = 'attribution', x: Images | None = None
) -> None:  # fmt: skip
    """An attribution's map: numbers [batch, height, width, …], all finite; if there are images, at their size."""
    if not _is_array(attribution):
        raise ArgumentTypeError(
            f'{function}: {name} is {type(attribution).__name__}: expected an array; give the map of it '
            f'({name}.map)'
        )  # fmt: skip
    shape = tuple(attribution.shape)
    if len(shape) not in (3, 4) or (x is not None and shape[:3] != tuple(x.shape[:3])):
        images = '' if x is None else f' and the images are {tuple(x.shape)}'
        raise ValueError(
            f'{function}: {name} is {shape}{images}: expected [batch, height, width] or [batch, height, width, '
            'channels]; resize_map enlarges a map'
        )
    _require_rows(function, name, attribution)
    check_finite(function, name, attribution)


def check_method_result(function: str, found: Any, x: Images) -> Attribution:
    """The result of an attribution method: an `Attribution` of a finite map with a row for each image."""
    if not isinstance(getattr(found, 'map', None), jax.Array | np.ndarray):
        raise ArgumentTypeError(
            f'{function}: method returned {type(found).__name__}; expected Attribution(map, gap), as the methods of '
            'this package return'
        )
    if len(found.map.shape) not in (3, 4) or len(found.map) != len(x):
        raise ValueError(
            f'{function}: method returned a map {found.map.shape} for {len(x)} images; expected a row for each'
        )
    check_finite(function, "the method's map", found.map)
    result: Attribution = found
    return result


def check_baseline(function: str, baseline: ArrayLike, x: Images) -> None:
    """A number or an array that broadcasts to the images, all finite."""
    try:
        fits = np.broadcast_shapes(np.shape(baseline), x.shape) == tuple(x.shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f'{function}: baseline has shape {np.shape(baseline)}; expected a number, or one that broadcasts to the '
            f'images {tuple(x.shape)}'
        )
    check_finite(function, 'baseline', baseline)


def check_counts(function: str, **counts: int | None) -> None:
    """Whole numbers of 1 or more, by the name of the argument; None is the default."""
    for name, value in counts.items():
        if value is not None and not (isinstance(value, int | np.integer) and value >= 1):
            raise ValueError(f'{function}: {name} is {value}; expected a whole number, 1 or more')


def check_not_negative(function: str, **numbers: Any) -> None:
    """Finite numbers, 0 or more, by the name of the argument; Any, because they may be traced."""
    for name, value in numbers.items():
        if known(value) and not (np.isfinite(value) and value >= 0):
            raise ValueError(f'{function}: {name} is {value}; expected a finite number, 0 or more')


def check_finite(function: str, name: str, values: Any) -> None:
    """ValueError for NaN or infinity, where the values are known."""
    if _not_finite({name: values}):
        raise ValueError(f'{function}: {name} holds {NO_NUMBERS}; look for where it begins')


def known(value: Any) -> bool:
    """True of a number or an array whose values can be looked at: none that is traced, and none that is a shape."""
    return not isinstance(value, jax.core.Tracer | jax.ShapeDtypeStruct)


def _is_array(value: Any) -> bool:
    return hasattr(value, 'shape') and hasattr(value, 'dtype')


def _is_floating(value: Any) -> bool:
    return bool(jnp.issubdtype(value.dtype if hasattr(value, 'dtype') else np.result_type(value), jnp.floating))


def _require_array(function: str, name: str, value: Any) -> None:
    if not _is_array(value):
        raise ArgumentTypeError(f'{function}: {name} is {type(value).__name__}; expected an array')


def _require_rows(function: str, name: str, rows: Any) -> None:
    if 0 in rows.shape:
        raise ValueError(f'{function}: {name} has no rows, its shape is {rows.shape}; expected one or more')


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


def _few(names: list[str]) -> str:
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')


def _not_finite(arrays: Mapping[str, Any]) -> list[str]:
    """The names of the arrays that hold NaN or infinity; each is looked at where it lies."""
    floats = {name: value for name, value in arrays.items() if known(value) and _is_floating(value)}
    on_device = {name: value for name, value in floats.items() if isinstance(value, jax.Array)}
    finite = {name: bool(np.isfinite(value).all()) for name, value in floats.items() if name not in on_device}
    if on_device:
        with jax.ensure_compile_time_eval():  # within a trace too, where an array that it closes over is known
            finite |= zip(on_device, np.asarray(_all_finite(list(on_device.values()))).tolist(), strict=True)
    return [name for name in floats if not finite[name]]


@jax.jit
def _all_finite(arrays: list[Array]) -> Bool[Array, ' arrays']:
    return jnp.stack([jnp.isfinite(array).all() for array in arrays])
