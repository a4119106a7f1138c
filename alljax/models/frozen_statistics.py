"""What goes on inside a network: the features at a layer, and batch statistics that stay as they are."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from alljax.errors import UserError, nearest
from alljax.models import Model, Variables
from alljax.models.trees import flatten


def features(
    model: Model, variables: Variables, image: Float[Array, 'batch height width 3'], layer: str
) -> Float[Array, 'batch ...']:
    """What the layer gives for normalized images, before the rectifier that may follow it.

    A layer is a module by its place in the tree, such as 'layer4_1' or 'layer4_1/conv2'; `layers` lists them. Under
    `jax.jit` nothing after the layer is computed. UserError for a layer that there is not.
    """
    _, seen = model.apply(
        variables, image, capture_intermediates=lambda module, _: _path(module) == layer, mutable=['intermediates']
    )
    found = list(flatten(seen.get('intermediates', {})).values())
    if not found:
        known = layers(model, variables)
        raise UserError(
            f'{model.name} has no layer {layer!r}{nearest(layer, known)}; its layers are {", ".join(known)}'
        )
    return found[0][0]


def layers(model: Model, variables: Variables) -> list[str]:
    """The layers that `features` knows, in the order in which they are computed."""
    names: list[str] = []

    def note(module: nn.Module, method: str) -> bool:
        names.append(_path(module))
        return False

    image = jnp.zeros((1, model.input.size, model.input.size, 3))
    jax.eval_shape(
        lambda variables: model.apply(variables, image, capture_intermediates=note, mutable=['intermediates']),
        variables,
    )
    return [name for name in dict.fromkeys(names) if name]


def still(layers: Collection[str]) -> AbstractContextManager[None]:
    """Within it, the batch normalizations at these layers use their running statistics and leave them as they are."""

    def intercept(call: Any, args: Any, keywords: dict[str, Any], context: nn.module.InterceptorContext) -> Any:
        if isinstance(context.module, nn.BatchNorm) and _path(context.module) in layers:
            keywords = {**keywords, 'use_running_average': True}
        return call(*args, **keywords)

    return nn.intercept_methods(intercept)


def _path(module: nn.Module) -> str:
    return '/'.join(module.path)
