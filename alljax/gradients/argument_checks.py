"""The checks of arguments that every public function makes first: inputs, labels, maps and counts.

Shapes and types are checked always. Values can be checked outside of tracing only: within `jax.jit` nobody knows them
yet. Each sentence begins with the function and its argument, and ends with the fix.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool

from alljax.gradients.positions import positions
from alljax.gradients.typing import Attribution, AttributionMap, Inputs, Rows, Target

NO_NUMBERS = 'NaN or infinity, so no result would mean anything'


class ArgumentTypeError(TypeError, ValueError):
    """An argument of another type; a ValueError too, as all errors of these checks are."""


def check_inputs(
    function: str, x: Inputs | jax.ShapeDtypeStruct, name: str = 'x', *, tokens: bool = False, images: bool = False
) -> None:
    """The inputs of a network, of any rank: floats [batch, ...], one row or more, all finite.

    With `tokens`, integers [batch] or [batch, tokens] are taken too: where nothing is differentiated to them. With
    `images`, they have to be [batch, height, width, channels].
    """
    _require_array(function, name, x)
    if not x.shape or (images and len(x.shape) != 4):
        expected = 'images [batch, height, width, channels]' if images else 'a row for each example, [batch, ...]'
        raise ValueError(f'{function}: {name} has shape {x.shape}; expected {expected}')
    counts = jnp.issubdtype(x.dtype, jnp.integer) and x.dtype != jnp.uint8 and len(x.shape) <= 2
    if not jnp.issubdtype(x.dtype, jnp.floating) and not (tokens and counts):
        hint = '; of tokens, name the layer of their embedding (layer=)' if counts else ''
        raise ArgumentTypeError(
            f'{function}: {name} is {x.dtype}: gradients need floats; normalize the images as the network expects them'
            + hint
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


def check_class_shape(function: str, wanted: Target, images: int, name: str = 'target') -> None:
    """Classes are integers: one, or one for each image, or None for the only output of a network that has one."""
    if wanted is None:
        return
    found: Any = wanted if hasattr(wanted, 'dtype') else np.asarray(wanted)
    if not jnp.issubdtype(found.dtype, jnp.integer):
        raise ArgumentTypeError(f'{function}: {name} is {found.dtype}; expected classes as integers, from 0')
    if found.shape not in ((), (images,)):
        raise ValueError(
            f'{function}: {name} has shape {found.shape} for {images} images; expected one class, or one for each image'
        )


def check_classes(function: str, wanted: Target, images: int, count: int | None = None, name: str = 'target') -> None:
    """The same, and from 0, and below the `count` of the network's if that is known."""
    check_class_shape(function, wanted, images, name)
    if wanted is None:
        if count not in (None, 1):
            raise ValueError(f'{function}: {name} is None, and the network has {count} outputs; name one, from 0')
        return
    if not known(wanted):
        return
    least, most = int(np.asarray(wanted).min()), int(np.asarray(wanted).max())
    if least < 0 or (count is not None and most >= count):
        there = 'classes are counted from 0' if count is None else f'the network has {count} logits, from 0'
        raise ValueError(f'{function}: {name} names class {least if least < 0 else most}: {there}')


def check_map(
    function: str, attribution: AttributionMap, name: str = 'attribution', x: Inputs | None = None
) -> None:  # fmt: skip
    """An attribution's map, numbers that are all finite: of images [batch, height, width] or with channels.

    If there are inputs, of their shape, or of their shape without the channels where they have positions.
    """
    if not is_array(attribution):
        raise ArgumentTypeError(
            f'{function}: {name} is {type(attribution).__name__}: expected an array; give the map of it '
            f'({name}.map)'
        )  # fmt: skip
    shape = tuple(attribution.shape)
    fits = len(shape) in (3, 4) if x is None else _fits(shape, tuple(x.shape))
    if not fits:
        images = '' if x is None else f' and the inputs are {tuple(x.shape)}'
        expected = '[batch, height, width] or [batch, height, width, channels]'
        if x is not None:
            expected = ' or '.join(map(str, dict.fromkeys((tuple(x.shape), positions(x.shape)))))
        raise ValueError(f'{function}: {name} is {shape}{images}: expected {expected}; resize_map enlarges a map')
    _require_rows(function, name, attribution)
    check_finite(function, name, attribution)


def check_score(function: str, score: str) -> None:
    """ValueError for an unknown score."""
    if score not in ('probability', 'output'):
        raise ValueError(f"{function}: score is {score!r}; it may be 'probability' or 'output'")


def check_method_result(function: str, found: Any, x: Inputs) -> Attribution:
    """The result of an attribution method: an `Attribution` of a finite map with a row for each image."""
    if not isinstance(getattr(found, 'map', None), jax.Array | np.ndarray):
        raise ArgumentTypeError(
            f'{function}: method returned {type(found).__name__}; expected Attribution(map, gap), as the methods of '
            'this package return'
        )
    if not found.map.shape or len(found.map) != len(x):
        raise ValueError(
            f'{function}: method returned a map {found.map.shape} for {len(x)} images; expected a row for each'
        )
    check_finite(function, "the method's map", found.map)
    result: Attribution = found
    return result


def check_baseline(function: str, baseline: ArrayLike, x: Inputs) -> None:
    """A number or an array that broadcasts to the images, all finite."""
    try:
        fits = np.broadcast_shapes(np.shape(baseline), x.shape) == tuple(x.shape)
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f'{function}: baseline has shape {np.shape(baseline)}; expected a number, or one that broadcasts to the '
            f'inputs {tuple(x.shape)}'
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
    if not_finite({name: values}):
        raise ValueError(f'{function}: {name} holds {NO_NUMBERS}; look for where it begins')


def known(value: Any) -> bool:
    """True of a number or an array whose values can be looked at: none that is traced, and none that is a shape."""
    return not isinstance(value, jax.core.Tracer | jax.ShapeDtypeStruct)


def is_array(value: Any) -> bool:
    """True of what has a shape and a type of numbers."""
    return hasattr(value, 'shape') and hasattr(value, 'dtype')


def is_floating(value: Any) -> bool:
    """True of an array or a number of floats."""
    return bool(jnp.issubdtype(value.dtype if hasattr(value, 'dtype') else np.result_type(value), jnp.floating))


def _fits(shape: tuple[int, ...], inputs: tuple[int, ...]) -> bool:
    return shape == positions(inputs) or (len(inputs) > 2 and shape[:-1] == positions(inputs))


def _require_array(function: str, name: str, value: Any) -> None:
    if not is_array(value):
        raise ArgumentTypeError(f'{function}: {name} is {type(value).__name__}; expected an array')


def _require_rows(function: str, name: str, rows: Any) -> None:
    if 0 in rows.shape:
        raise ValueError(f'{function}: {name} has no rows, its shape is {rows.shape}; expected one or more')


def few(names: list[str]) -> str:
    """The first names of many, and how many more there are."""
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')


def not_finite(arrays: Mapping[str, Any]) -> list[str]:
    """The names of the arrays that hold NaN or infinity; each is looked at where it lies."""
    floats = {name: value for name, value in arrays.items() if known(value) and is_floating(value)}
    on_device = {name: value for name, value in floats.items() if isinstance(value, jax.Array)}
    finite = {name: bool(np.isfinite(value).all()) for name, value in floats.items() if name not in on_device}
    if on_device:
        with jax.ensure_compile_time_eval():  # within a trace too, where an array that it closes over is known
            finite |= zip(on_device, np.asarray(_all_finite(list(on_device.values()))).tolist(), strict=True)
    return [name for name in floats if not finite[name]]


@jax.jit
def _all_finite(arrays: list[Array]) -> Bool[Array, ' arrays']:
    return jnp.stack([jnp.isfinite(array).all() for array in arrays])
