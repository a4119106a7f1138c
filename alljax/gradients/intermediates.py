"""The outputs of the layers inside a network, and how its logits depend on them.

The layers of linen modules have names; a network of any other library has one layer, the features of a `SplitNetwork`.
"""

import difflib
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from functools import lru_cache, partial
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from alljax.gradients.argument_checks import check_inputs
from alljax.gradients.network_checks import Leaves, as_apply, from_signature, picked, signature
from alljax.gradients.parameter_checks import check_params
from alljax.gradients.typing import Apply, Inputs, Network, Params, SplitNetwork

FEATURES = 'features'  # the layer of a `SplitNetwork`


class Outputs(NamedTuple):
    """The outputs of a network and of one of its layers."""

    logits: Float[Array, 'batch ...']
    layer: Float[Array, 'batch ...']


@runtime_checkable
class WithLayer(Protocol):
    """A network that also gives a layer's output, and goes on with another: `offset` is added, or `value` replaces it.

    Of a tuple the first array is the layer's output, and the rest stays.
    """

    def __call__(
        self, params: Params, x: Array, offset: Array | None = None, value: Array | None = None
    ) -> Outputs:  # fmt: skip
        """The logits after the change, and the layer's output before it."""


def layer_output(
    apply: Network, params: Params, x: Inputs, layer: str | None = None
) -> Float[Array, 'batch ...']:  # fmt: skip
    """The output of a layer for inputs of any rank, before the rectifier that may follow it.

    A layer is a linen module by its place in the tree of parameters, such as 'layer4_1' or 'layer4_1/conv2';
    `layer_names` lists them. Of a layer that is called more than once, the last call counts. Of a `SplitNetwork` it is
    what `features` gives, and need not be named. Nothing after the layer is computed. Can be jitted, with `apply` and
    `layer` closed over. ValueError for a layer that does not exist.

    >>> gradients.layer_output(model, variables, x, 'stem').shape
    (4, 8, 8, 2)
    """
    check_inputs('layer_output', x, tokens=True)
    check_params('layer_output', params)
    function = as_apply(apply)
    output: Array = _layer_output(function, params, x, resolve_layer('layer_output', function, layer))
    return output


def layer_names(apply: Network, params: Params, x: Inputs | jax.ShapeDtypeStruct) -> list[str]:
    """The layers of a network, in the order in which they finish: a module stands after the modules inside it.

    Of the inputs `x`, of any rank, the shape alone counts. An empty list for a network that calls no linen module; a
    `SplitNetwork` has the layer 'features'. Nothing is computed, so there is nothing to jit: within `jit` it gives the
    same list.

    >>> gradients.layer_names(model, variables, x)
    ['stem', 'head']
    """
    check_inputs('layer_names', x, tokens=True)
    check_params('layer_names', params)
    function = as_apply(apply)
    names = [*layer_shapes(function, params, x)]
    return [*names, FEATURES] if isinstance(function, SplitNetwork) else names


def layer_shapes(apply: Apply, params: Params, x: Inputs | jax.ShapeDtypeStruct) -> dict[str, tuple[int, ...]]:
    """The layers of `layer_names`, each with the shape of what it gave last; () of what is no array.

    They are of one pass, in which nothing is computed.
    """
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, context: nn.module.InterceptorContext, output: Any) -> Any:
        if name:
            shapes[name] = shapes.get(name, ())
            if context.method_name == '__call__':
                shapes[name] = tuple(getattr(_opened(output)[0], 'shape', ()))
        return output

    def traced(params: Params, x: Array) -> Any:
        with _after_each_call(note):
            return apply(params, x)

    jax.eval_shape(traced, params, x)
    return shapes


def resolve_layer(function: str, apply: Apply, layer: str | None) -> str:
    """The layer that is meant; ValueError where none is named and the network is no `SplitNetwork`."""
    if layer is None and not isinstance(apply, SplitNetwork):
        raise ValueError(
            f'{function}: layer is None; name one (layer_names lists those of linen modules), or give the network as '
            'SplitNetwork(features, head)'
        )
    return layer or FEATURES


def with_layer(apply: Apply, layer: str) -> WithLayer:
    """The network as a function that gives a layer's output beside its logits; ValueError as of `layer_output`.

    Under `jax.jit` nothing is computed that does not lead to the result.
    """

    def call(params: Params, x: Array, offset: Array | None = None, value: Array | None = None) -> Outputs:
        outputs: list[Array] = []

        def changed(output: Any) -> Any:
            array, rest = _opened(output)
            outputs.append(array)
            if value is not None:
                array = value
            return rest(array if offset is None else array + offset)

        def note(name: str, context: nn.module.InterceptorContext, output: Any) -> Any:
            return changed(output) if name == layer and context.method_name == '__call__' else output

        if isinstance(apply, SplitNetwork) and layer == FEATURES:
            logits = apply.head(params, changed(apply.features(params, x)))
        else:
            with _after_each_call(note):
                logits = apply(params, x)
        if not outputs:
            raise ValueError(_no_layer(layer, layer_names(apply, params, x)))
        return Outputs(logits, outputs[-1])

    return call


def with_layers(apply: Apply, layers: Collection[str]) -> Callable[[Params, Array], tuple[Array, dict[str, Array]]]:
    """The network as a function of its logits and of what each of these layers gives, in one pass.

    ValueError as of `layer_output`.
    """
    if not layers:
        return lambda params, x: (apply(params, x), {})
    *others, last = layers
    inner: Any = with_layer(cast(Any, with_layers(apply, others)), last)  # whatever the function gives comes through

    def call(params: Params, x: Array) -> tuple[Array, dict[str, Array]]:
        (logits, found), output = inner(params, x)
        return logits, {**found, last: output}

    return call


def eval_layer_shape(apply: Apply, params: Params, x: Inputs, layer: str) -> jax.ShapeDtypeStruct:
    """The shape and type of a layer's output for `x`, without computing it.

    ValueError as of `layer_output`, and for a layer that gives neither an array nor a tuple that begins with one.
    """
    output = _traced_layer(apply, layer, *signature(params), x.shape, x.dtype)
    if not isinstance(output, jax.ShapeDtypeStruct):
        raise ValueError(
            f'layer {layer!r} gives {type(output).__name__}; expected an array, or a tuple whose first element is one'
        )
    return output


@lru_cache(maxsize=128)  # one attribution asks several times, and a trace of a network takes a good part of a second
def _traced_layer(
    apply: Apply, layer: str, tree: jax.tree_util.PyTreeDef, leaves: Leaves, shape: tuple[int, ...], dtype: Any
) -> Any:
    x = jax.ShapeDtypeStruct(shape, dtype)
    return jax.eval_shape(with_layer(apply, layer), from_signature(tree, leaves), x).layer


def layer_gradient(
    apply: Apply, params: Params, x: Array, wanted: Int[Array, ' batch'], layer: str
) -> tuple[Float[Array, 'batch ...'], Float[Array, 'batch ...']]:
    """The gradient of each input's target logit to a layer's output, and that output.

    ValueError for a layer that does not exist, or gives no floats with a row for each input.
    """
    expected = eval_layer_shape(apply, params, x, layer)
    shape = expected.shape
    if not shape or shape[0] != len(x) or not jnp.issubdtype(expected.dtype, jnp.floating):
        found = f'{expected.dtype}{list(shape)}'
        raise ValueError(f'layer {layer!r} gives {found}; expected floats with a row for each of the {len(x)} inputs')

    def score(offset: Array) -> tuple[Array, Array]:
        logits, output = with_layer(apply, layer)(params, x, offset)
        return picked(logits, wanted).sum(), output

    gradient, output = jax.grad(score, has_aux=True)(jnp.zeros(shape, expected.dtype))
    return gradient, output


@partial(jax.jit, static_argnames=('apply', 'layer'))
def _layer_output(apply: Apply, params: Params, x: Array, layer: str) -> Float[Array, 'batch ...']:
    return with_layer(apply, layer)(params, x).layer


def _opened(output: Any) -> tuple[Any, Callable[[Any], Any]]:
    """The array of a layer's output, the first of a tuple, and the output with another array in its place."""
    if isinstance(output, tuple | list) and output:
        array, inner = _opened(output[0])
        make = type(output)._make if hasattr(output, '_make') else type(output)  # a NamedTuple takes its fields
        return array, lambda other: make([inner(other), *output[1:]])
    return output, lambda other: other


def _after_each_call(note: Callable[[str, nn.module.InterceptorContext, Any], Any]) -> AbstractContextManager[None]:
    """Within it, `note(name, context, output)` replaces what each method of a linen module returns."""

    def intercept(call: Any, args: Any, keywords: dict[str, Any], context: nn.module.InterceptorContext) -> Any:
        return note('/'.join(context.module.path), context, call(*args, **keywords))

    return nn.intercept_methods(intercept)


def _no_layer(layer: str, known: list[str]) -> str:
    near = difflib.get_close_matches(layer, known, 1)
    unknown = 'unknown: the network calls no linen module; give it as SplitNetwork(features, head)'
    return (
        f'there is no layer {layer!r}' + (f', did you mean {near[0]!r}?' if near else '.')
        + f' The layers are {", ".join(known) or unknown}'
    )  # fmt: skip
