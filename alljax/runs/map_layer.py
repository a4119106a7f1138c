"""The layer of a network whose map the class activation maps take, and the network as they see it."""

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from alljax.errors import UserError
from alljax.gradients.intermediates import layer_shapes, with_layer
from alljax.gradients.token_grid import grid_of
from alljax.models import Apply, Model, Variables, is_linen
from alljax.models.trees import flatten


def shape_at(model: Model, variables: Variables, layer: str) -> tuple[int, ...]:
    """The shape of what a layer gives for one image, of several arrays the first; UserError for an unknown layer."""
    try:
        output = jax.eval_shape(with_layer(model.apply, layer), variables, blank(model)).layer
    except ValueError as error:
        raise UserError(f'{model.name}: {error}') from None
    return getattr(output, 'shape', ())


class MapLayer(NamedTuple):
    """A layer that gives a map."""

    name: str
    shape: tuple[int, ...]  # [1, rows, columns, channels]


def is_map(shape: tuple[int, ...]) -> bool:
    """True for [1, rows, columns, channels] with more than one position."""
    return len(shape) == 4 and shape[1] * shape[2] > 1


def last_map_layer(model: Model, variables: Variables) -> MapLayer | None:
    """The last layer with weights before the head whose output is a map; None if there is none.

    A network that goes on with tokens [batch, tokens, features] has none: the map of its first layer, long before the
    decision, would explain little.
    """
    if not is_linen(model):
        return None
    weighted = _weighted(variables)
    for layer, shape in reversed(layer_shapes(model.apply, variables, blank(model)).items()):
        if not any(name.startswith(f'{layer}/') for name in weighted):
            continue  # dropout, pooling, or the head
        if is_map(shape):
            return MapLayer(layer, shape)
        if len(shape) == 3:
            return None
    return None


def last_token_layer(model: Model, variables: Variables) -> str:
    """The last layer of a transformer whose patches still count: the norm before the last attention; '' if none.

    After it the head reads the class token alone, so the gradient to the patches, and every class activation map of
    them, is zero. It is found by trial: other patches after a layer change the logits, or do not.
    """
    if not is_linen(model):
        return ''
    wide: tuple[int, ...] = ()  # the shape of the last tokens: queries and hidden layers are wider
    weighted = _weighted(variables)
    for layer, shape in reversed(layer_shapes(model.apply, variables, blank(model)).items()):
        if not any(name.startswith(f'{layer}/') for name in weighted):
            continue  # dropout
        if not is_tokens(model, shape) or (wide and shape != wide):
            continue
        wide = shape
        if _patches_count(model, variables, layer, shape):
            return layer
    return ''


def _weighted(variables: Variables) -> list[str]:
    """The places of all variables but the head's, without the collection that they are in."""
    return ['/'.join(name.split('/')[1:]) for name in flatten(variables) if not name.startswith('params/head/')]


def is_tokens(model: Model, shape: tuple[int, ...]) -> bool:
    """True for [1, tokens, channels] whose patches are a grid of the image's proportions."""
    size = model.input.size
    try:
        return len(shape) == 3 and math.prod(grid_of(shape[1], (size, size))) > 1
    except ValueError:
        return False


def _patches_count(model: Model, variables: Variables, layer: str, shape: tuple[int, ...]) -> bool:
    """True if the logits change with the patches that a layer gives."""
    size = model.input.size
    patches = math.prod(grid_of(shape[1], (size, size)))
    one, other = (jax.random.normal(jax.random.key(seed), (2, *shape[1:])) for seed in (0, 1))
    mixed = other.at[:, : shape[1] - patches].set(one[:, : shape[1] - patches])
    images = jnp.zeros((2, *blank(model).shape[1:]))
    plain, changed = (_logits_after(model.apply, layer, variables, images, output) for output in (one, mixed))
    return not bool(jnp.allclose(plain, changed, rtol=1e-4, atol=1e-5))


def goes_on_rectified(
    model: Model, variables: Variables, layer: str, shape: tuple[int, ...] | None = None
) -> bool:  # fmt: skip
    """True if nothing changes when the layer's output is rectified, as where a rectifier follows it.

    The CAMs then take what is above zero, as published: what is below goes nowhere, yet would outweigh all else.
    """
    output = jax.random.normal(jax.random.key(0), (2, *(shape or shape_at(model, variables, layer))[1:]))
    images = jnp.zeros((2, *blank(model).shape[1:]))
    plain, rectified = (
        _logits_after(model.apply, layer, variables, images, one) for one in (output, jax.nn.relu(output))
    )
    return bool(jnp.allclose(plain, rectified, rtol=1e-4, atol=1e-5))


@lru_cache(maxsize=8)  # the same function each time, or all is compiled again
def rectifying(apply: Apply, layer: str) -> Callable[[Variables, Array], Array]:
    """`apply` with the layer's output rectified, as those see it who watch from outside."""
    return _with_changed_layer(apply, layer, jax.nn.relu)


@partial(jax.jit, static_argnames=('apply', 'layer'))
def _logits_after(
    apply: Apply, layer: str, variables: Variables, images: Array, output: Float[Array, 'batch ...']
) -> Float[Array, 'batch classes']:
    """The logits where a layer gives `output`; what comes before it is left out of the program."""
    return _with_changed_layer(apply, layer, lambda _: output)(variables, images)


def _with_changed_layer(
    apply: Apply, layer: str, change: Callable[[Array], Array]
) -> Callable[[Variables, Array], Array]:
    def changed(variables: Variables, x: Array) -> Array:
        def intercept(call: Any, args: Any, keywords: dict[str, Any], context: nn.module.InterceptorContext) -> Any:
            output = call(*args, **keywords)
            at_layer = '/'.join(context.module.path) == layer and context.method_name == '__call__'
            return change(output) if at_layer else output

        with nn.intercept_methods(intercept):  # the last one added is the innermost
            return apply(variables, x)

    return changed


def blank(model: Model) -> jax.ShapeDtypeStruct:
    """The form of one image as the network takes it."""
    return jax.ShapeDtypeStruct((1, model.input.size, model.input.size, 3), jnp.float32)
