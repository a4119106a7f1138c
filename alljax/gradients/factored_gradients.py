"""Gradients of single examples as factors: from what enters each linen layer and what comes back to it.

An example's gradient of a dense kernel is the outer product of the layer's input and the cotangent of its output, so
its norm is the product of theirs (Goodfellow 2015, arXiv:1510.01799); of a convolution it is the sum of such products
over positions. One backward pass for the whole batch gives both sides of all layers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import get_opaque_trace_state
from jaxtyping import Array, Float

from alljax.gradients.convolution_patches import patches
from alljax.gradients.named_parameters import named, wide, with_leaves
from alljax.gradients.typing import Loss, Params, Rows


class Pair(NamedTuple):
    """The factors of a kernel's gradient: Σ over places of input ⊗ cotangent, for each group of channels."""

    inputs: Float[Array, 'batch groups places inputs']
    cotangents: Float[Array, 'batch groups places outputs']


Factor = Pair | Float[Array, '_ _']  # or the gradients themselves, of a bias, a scale or what has no such form


class Layer(NamedTuple):
    """A call of a linen layer whose gradients have factors."""

    module: nn.Module
    leaves: dict[str, str]  # 'kernel', 'bias', 'scale' → the name in the tree of parameters
    output: jax.ShapeDtypeStruct


Layers = dict[str, Layer]
Arrays = dict[str, Array]
Shape = Rows | jax.ShapeDtypeStruct  # an array of which the shape and type alone count


def discover(loss: Loss, params: Params, x: Rows, y: Rows) -> Layers:
    """The layers that the loss calls, by their place, if their gradients have factors; none if it does not give [N].

    Left out are layers that are called twice or within another transformation (`jax.vmap`, `jax.checkpoint`), whose
    parameters are not leaves of `params` as they are or are used beside the layer too (weight decay, tied kernels), or
    whose first axis is not the batch: their gradients have to be written out.
    """
    layers, beside = _called(loss, params, x, y)
    if not layers:
        return {}
    more = [jax.ShapeDtypeStruct((len(part) + 1, *part.shape[1:]), part.dtype) for part in (x, y)]
    follows, _ = _called(loss, params, *more)  # to tell the batch's axis from another of the same length
    return {
        place: layer for place, layer in layers.items() if place in follows and not beside & set(layer.leaves.values())
    }


def _called(loss: Loss, params: Params, x: Shape, y: Shape) -> tuple[Layers, set[str]]:
    """The layers that are called once for a batch, and the names of parameters that are used beside them."""
    layers: Layers = {}
    twice: set[str] = set()

    def trace(params: Params, x: Array, y: Array) -> Any:
        batch, start = len(x), get_opaque_trace_state(convention='flax')
        names = {id(leaf): name for name, leaf in named(params).items()}
        used: dict[str, str] = {}

        def note(place: str, module: nn.Module, x: Array, output: Array) -> Array:
            own = module.variables.get('params', {})
            leaves = {part: names.get(id(leaf), '') for part, leaf in own.items()}
            twice.update(used[name] for name in leaves.values() if name in used)
            twice.update([place] if place in layers or set(leaves.values()) & set(used) else [])
            used.update(dict.fromkeys(leaves.values(), place))
            here = get_opaque_trace_state(convention='flax') == start
            if not (here and all(leaves.values()) and len(x) == len(output) == batch):
                return output
            shape = jax.ShapeDtypeStruct(output.shape, output.dtype)
            layers[place] = Layer(module.clone(parent=None), leaves, shape)
            return jnp.broadcast_to(x.sum().astype(shape.dtype), shape.shape)  # of the input, not of the parameters

        with _intercepted(note):
            return loss(params, x, y)

    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(jnp.shape(leaf), jnp.result_type(leaf)), (params, x, y))
    traced, outputs = jax.make_jaxpr(trace, return_shape=True)(*shapes)
    graph = traced.jaxpr
    needed = {id(value) for value in graph.outvars}
    for step in reversed(graph.eqns):
        if any(id(value) in needed for value in step.outvars):
            needed.update(map(id, step.invars))
    beside = {name for name, value in zip(named(params), graph.invars, strict=False) if id(value) in needed}
    by_image = [output.shape for output in jax.tree.leaves(outputs)] == [(len(x),)]
    return {place: layer for place, layer in layers.items() if by_image and place not in twice}, beside


@contextmanager
def recording(layers: Layers, offsets: Arrays) -> Iterator[Arrays]:
    """Within it, the offsets are added to what the layers give; the dictionary fills with what enters them."""
    inputs: Arrays = {}
    if not layers:
        yield inputs
        return

    def note(place: str, module: nn.Module, x: Array, output: Array) -> Array:
        if place not in layers:
            return output
        inputs[place] = _normalized(module, x) if isinstance(module, nn.BatchNorm | nn.LayerNorm) else x
        return output + offsets[place]

    with _intercepted(note):
        yield inputs


def zero_offsets(layers: Layers) -> Arrays:
    """The offsets that change nothing: the gradient to them is the cotangent of each layer's output."""
    return {place: jnp.zeros(layer.output.shape, layer.output.dtype) for place, layer in layers.items()}


def factors(layers: Layers, inputs: Arrays, cotangents: Arrays, *, in_order: bool = False) -> dict[str, Factor]:
    """Name of a parameter → its gradients for each example, from both sides of its layer; in float32 or wider.

    `in_order`, the inputs of a pair are in the order of the kernel, as `written_out` needs them.
    """
    found: dict[str, Factor] = {}
    for place, (module, leaves, _) in layers.items():
        x, cotangent = wide(inputs[place]), wide(cotangents[place])
        flat = cotangent.reshape(len(x), -1, cotangent.shape[-1])
        for part, name in leaves.items():
            if part == 'bias':
                found[name] = flat.sum(1)
            elif part == 'scale':
                found[name] = (x.reshape(flat.shape) * flat).sum(1)
            elif isinstance(module, nn.Conv):
                groups = module.feature_group_count
                spread = flat.reshape(len(x), -1, groups, flat.shape[-1] // groups).swapaxes(1, 2)
                found[name] = Pair(patches(x, module, in_order=in_order), spread)
            else:
                found[name] = Pair(x.reshape(len(x), 1, -1, x.shape[-1]), flat[:, None])
    return found


def explicit(loss: Loss, params: Params, x: Array, y: Array, names: list[str]) -> Arrays:
    """The gradients of some parameters for each example, [batch, …] each, in float32 or wider.

    `loss` is called with one image at a time.
    """
    leaves = named(params)

    def one(x: Array, y: Array) -> Arrays:
        def of_some(some: Arrays) -> Array:
            return loss(with_leaves(params, leaves | some), x[None], y[None]).sum()

        gradients: Arrays = jax.grad(of_some)({name: leaves[name] for name in names})
        return gradients

    return {name: wide(leaf) for name, leaf in jax.vmap(one)(x, y).items()} if names else {}


def per_example(
    loss: Loss, params: Params, x: Array, y: Array, wanted: Callable[[str], object] | None = None, *,
    in_order: bool = False,
) -> dict[str, Factor]:  # fmt: skip
    """Name → gradients for each example of a batch; `loss` gives a loss for each image, or one for all of them.

    In the second case nothing is known of single examples but what the loss of one image alone says. `wanted` chooses
    parameters by name; `in_order` is as in `factors`.
    """
    layers = discover(loss, params, x, y)

    def total(offsets: Arrays) -> tuple[Array, Arrays]:
        with recording(layers, offsets) as inputs:
            return loss(params, x, y).sum(), inputs

    found: dict[str, Factor] = {}
    if layers:
        cotangents, inputs = jax.grad(total, has_aux=True)(zero_offsets(layers))
        found = factors(layers, inputs, cotangents, in_order=in_order)
    names = [name for name in named(params) if wanted is None or wanted(name)]
    rest = explicit(loss, params, x, y, [name for name in names if name not in found])
    whole = found | {name: leaf.reshape(len(x), -1) for name, leaf in rest.items()}
    return {name: whole[name] for name in names}


def written_out(factor: Factor, like: Rows) -> Float[Array, 'batch ...']:
    """The gradients of each example, of the shape and type of the parameter; the inputs of a pair are in its order.

    Those of a layer that sees one place are products of numbers: XLA:CPU computes the derivative of its matrix product
    in the order of the transposed array, almost three times slower.
    """
    if isinstance(factor, Pair):
        u, b = factor
        whole = u[:, :, 0, :, None] * b[:, :, 0, None] if u.shape[2] == 1 else u.mT @ b
        factor = whole.swapaxes(1, 2)  # the groups of a kernel are those of its last axis
    return factor.reshape(len(factor), *jnp.shape(like)).astype(jnp.result_type(like))


def squared_norms(factor: Factor) -> Float[Array, ' batch']:
    """The squared norm of each example's gradient, in the cheaper of two orders."""
    if not isinstance(factor, Pair):
        return (factor**2).sum(1)
    u, b = factor
    places, size = u.shape[2], u.shape[3] * b.shape[3]
    if places * (u.shape[3] + b.shape[3]) < size:
        return jnp.sum((u @ u.mT) * (b @ b.mT), (1, 2, 3))
    return jnp.sum(jnp.square(u.mT @ b), (1, 2, 3))


def inner_products(one: Factor, other: Factor) -> Float[Array, 'first second']:
    """The inner products of the gradients of two batches."""
    one, other = expanded(one), expanded(other)
    if isinstance(one, Pair) and isinstance(other, Pair):
        return _flat(one.inputs) @ _flat(other.inputs).T * (_flat(one.cotangents) @ _flat(other.cotangents).T)
    assert not isinstance(one, Pair)
    assert not isinstance(other, Pair)  # of one parameter, both have factors or neither
    return one @ other.T


def expanded(factor: Factor) -> Factor:
    """The gradients themselves, unless they are one outer product, whose two factors are shorter."""
    if isinstance(factor, Pair) and factor.inputs.shape[1:3] != (1, 1):
        return _flat(factor.inputs.mT @ factor.cotangents)
    return factor


def _flat(x: Array) -> Float[Array, 'batch size']:
    return x.reshape(len(x), -1)


@contextmanager
def _intercepted(note: Callable[[str, nn.Module, Array, Array], Array]) -> Iterator[None]:
    """Within it, `note(place, module, input, output)` replaces what a layer of a known kind gives."""

    def intercept(call: Any, args: Any, keywords: dict[str, Any], context: nn.module.InterceptorContext) -> Any:
        output = call(*args, **keywords)
        if context.method_name != '__call__' or not _known(context.module, args, keywords):
            return output
        return note('/'.join(context.module.path), context.module, args[0], output)

    with nn.intercept_methods(intercept):
        yield


def _known(module: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    if not args or np.ndim(args[0]) < 2:
        return False
    if type(module) is nn.Conv:
        flat = np.shape(module.kernel_size) == (2,) and np.ndim(args[0]) == 4
        plain = flat and module.mask is None and bool(np.all(np.asarray(module.input_dilation or 1) == 1))
        return plain and module.padding not in ('CIRCULAR', 'CAUSAL', 'REFLECT')
    if isinstance(module, nn.BatchNorm | nn.LayerNorm):
        plain = type(module) in (nn.BatchNorm, nn.LayerNorm) and keywords.get('mask') is None
        normalizes_images = isinstance(module, nn.BatchNorm) and 'batch_stats' not in module.variables  # in groups
        return plain and _last_axis(module) and not normalizes_images
    return type(module) is nn.Dense


def _last_axis(module: nn.BatchNorm | nn.LayerNorm) -> bool:
    if isinstance(module, nn.BatchNorm):
        return module.axis == -1
    return module.feature_axes == module.reduction_axes == -1


def _normalized(module: nn.BatchNorm | nn.LayerNorm, x: Array) -> Array:
    """The normalized input, which a normalization's scale multiplies."""
    if isinstance(module, nn.BatchNorm):
        statistics = module.variables['batch_stats']
        mean, variance = statistics['mean'], statistics['var']
    else:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    normalized: Array = (x - mean) * jax.lax.rsqrt(variance + module.epsilon)
    return normalized
