"""The outputs of the layers inside a network of linen modules, and how its logits depend on them."""

import difflib
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from alljax.gradients.argument_checks import check_images, check_params
from alljax.gradients.network_checks import as_apply
from alljax.gradients.typing import Apply, Images, Network, Params


class Outputs(NamedTuple):
    """The outputs of a network and of one of its layers."""

    logits: Float[Array, 'batch ...']
    layer: Float[Array, 'batch ...']


@runtime_checkable
class WithLayer(Protocol):
    """A network that also gives a layer's output, to which `offset` is added before the network goes on."""

    def __call__(self, params: Params, x: Array, offset: Array | None = None) -> Outputs:
        """The logits after the addition, and the layer's output before it."""


def layer_output(apply: Network, params: Params, x: Images, layer: str) -> Float[Array, 'batch ...']:
    """The output of a layer for images, before the rectifier that may follow it.

    A layer is a linen module by its place in the tree of parameters, such as 'layer4_1' or 'layer4_1/conv2';
    `layer_names` lists them. Of a layer that is called more than once, the last call counts. Nothing after the layer is
    computed. ValueError for a layer that does not exist.
    """
    check_images('layer_output', x)
    check_params('layer_output', params)
    output: Array = _layer_output(as_apply(apply), params, x, layer)
    return output


def layer_names(apply: Network, params: Params, x: Images | jax.ShapeDtypeStruct) -> list[str]:
    """The layers of a network, in the order in which they finish: a module stands after the modules inside it.

    Of the images `x` the shape alone counts. An empty list for a network that calls no linen module.
    """
    check_images('layer_names', x)
    check_params('layer_names', params)
    function, names = as_apply(apply), []

    def note(name: str, context: nn.module.InterceptorContext, output: Any) -> Any:
        names.append(name)
        return output

    def traced(params: Params, x: Array) -> Any:
        with _after_each_call(note):
            return function(params, x)

    jax.eval_shape(traced, params, x)
    return [name for name in dict.fromkeys(names) if name]


def with_layer(apply: Apply, layer: str) -> WithLayer:
    """The network as a function that gives a layer's output beside its logits; ValueError as of `layer_output`.

    Under `jax.jit` nothing is computed that does not lead to the result.
    """

    def call(params: Params, x: Array, offset: Array | None = None) -> Outputs:
        outputs: list[Array] = []

        def note(name: str, context: nn.module.InterceptorContext, output: Any) -> Any:
            if name != layer or context.method_name != '__call__':
                return output
            outputs.append(output)
            return output if offset is None else output + offset

        with _after_each_call(note):
            logits = apply(params, x)
        if not outputs:
            raise ValueError(_no_layer(layer, layer_names(apply, params, x)))
        return Outputs(logits, outputs[-1])

    return call


def eval_layer_shape(apply: Apply, params: Params, x: Images, layer: str) -> jax.ShapeDtypeStruct:
    """The shape and type of a layer's output for `x`, without computing it; ValueError as of `layer_output`."""
    output: jax.ShapeDtypeStruct = jax.eval_shape(with_layer(apply, layer), params, x).layer
    return output


@partial(jax.jit, static_argnames=('apply', 'layer'))
def _layer_output(apply: Apply, params: Params, x: Array, layer: str) -> Float[Array, 'batch ...']:
    return with_layer(apply, layer)(params, x).layer


def _after_each_call(note: Callable[[str, nn.module.InterceptorContext, Any], Any]) -> AbstractContextManager[None]:
    """Within it, `note(name, context, output)` replaces what each method of a linen module returns."""

    def intercept(call: Any, args: Any, keywords: dict[str, Any], context: nn.module.InterceptorContext) -> Any:
        return note('/'.join(context.module.path), context, call(*args, **keywords))

    return nn.intercept_methods(intercept)


def _no_layer(layer: str, known: list[str]) -> str:
    near = difflib.get_close_matches(layer, known, 1)
    return (
        f'there is no layer {layer!r}' + (f', did you mean {near[0]!r}?' if near else '.')
        + f' The layers are {", ".join(known) or "unknown: the network calls no linen module"}'
    )  # fmt: skip
