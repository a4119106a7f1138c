"""A gradient checked against central differences."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from alljax.gradients.argument_checks import ArgumentTypeError, check_counts, known
from alljax.gradients.named_parameters import named, with_leaves
from alljax.gradients.parameter_checks import check_params
from alljax.gradients.typing import Params


def check_gradient(
    function: Callable[..., Float[Array, '']],
    *arguments: Params,
    key: Key[Array, ''],
    directions: int = 8,
    step: float = 1e-5,
) -> Float[Array, ' directions']:
    """The relative error of a function's derivative in random directions, against central differences in float64.

    `function(*arguments)` gives a number, of any trees; their floating leaves are all varied together, the others are
    left alone. Near 1e-9 where the gradient is right, unless a rectifier changes sign within the step. ValueError for
    arguments that are not finite, or hold no floats, of any shapes. Cannot be jitted: it computes in float64, whatever
    the surroundings do.

    >>> bool(gradients.check_gradient(lambda x: jnp.sum(x**3), x, key=key, directions=2).max() < 1e-6)
    True
    """
    check_counts('check_gradient', directions=directions)
    if not step > 0:
        raise ValueError(f'check_gradient: step is {step}; expected a number above 0')
    check_params('check_gradient', arguments, 'arguments')
    if not all(map(known, jax.tree.leaves(arguments))):
        raise ArgumentTypeError(
            'check_gradient: arguments are traced; it computes in float64, so call it outside of jit and vmap'
        )
    with jax.enable_x64(True):
        wide = [jax.tree.map(_widen, argument) for argument in arguments]
        flat = {name: leaf for name, leaf in named(wide).items() if jnp.issubdtype(leaf.dtype, jnp.floating)}
        if not flat:
            raise ValueError('check_gradient: arguments hold no floats; expected some, which alone have gradients')

        def of_some(some: dict[str, Array]) -> Float[Array, '']:
            return function(*with_leaves(wide, named(wide) | some))

        gradient, errors = jax.grad(of_some)(flat), []
        for number in range(directions):
            keys = jax.random.split(jax.random.fold_in(key, number), len(flat))
            way = {name: jax.random.normal(own, flat[name].shape, flat[name].dtype)
                   for own, name in zip(keys, flat, strict=True)}  # fmt: skip
            ahead, behind = (
                of_some({name: leaf + sign * step * way[name] for name, leaf in flat.items()}) for sign in (1, -1)
            )
            expected = (ahead - behind) / (2 * step)
            found = sum(jnp.vdot(gradient[name], way[name]) for name in flat)
            errors.append(jnp.abs(found - expected) / jnp.maximum(jnp.abs(expected), 1e-12))
        return jnp.stack(errors)


def _widen(leaf: Any) -> Array:
    array = jnp.asarray(np.asarray(leaf))
    return array.astype(jnp.float64) if jnp.issubdtype(array.dtype, jnp.floating) else array
