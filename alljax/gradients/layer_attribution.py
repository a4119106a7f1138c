"""Attribution to and through the neurons of an inner layer: conductance, and any method for a neuron."""

from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_baseline, check_counts, check_method_result
from alljax.gradients.gradient_attribution import logits_of, quadrature
from alljax.gradients.intermediates import eval_layer_shape, layer_gradient, resolve_layer, with_layer
from alljax.gradients.network_checks import as_apply, classes, prepare
from alljax.gradients.typing import Apply, Attribution, Inputs, Method, Network, Params, Target

Neuron = int | tuple[int, ...]  # its place in the layer's output, without the batch
Rule = Literal['gausslegendre', 'midpoint']


class Point(NamedTuple):
    """A point of the way from a baseline to each input, and the class that is asked for."""

    x: Array
    base: Array
    wanted: Int[Array, ' batch']
    node: Float[Array, ''] | Float[Array, ' batch']  # its place, or that of each: 0 is the baseline, 1 the input

    @property
    def at(self) -> Array:
        """The point itself."""
        return self.base + self.node.reshape(-1, *[1] * (self.x.ndim - 1)) * (self.x - self.base)


def _points(x: Array, base: Array, wanted: Int[Array, ' batch'], nodes: np.ndarray) -> Point:
    """All inputs at each of the nodes, one node after the other."""
    copies = (len(nodes), *[1] * (x.ndim - 1))
    node = jnp.asarray(np.repeat(nodes, len(x)))
    return Point(jnp.tile(x, copies), jnp.tile(base, copies), jnp.tile(wanted, len(nodes)), node)


def layer_conductance(
    apply: Network, params: Params, x: Inputs, target: Target, *, layer: str | None = None,
    baseline: ArrayLike = 0.0, steps: int = 64, rule: Rule | Literal['difference'] = 'gausslegendre',
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """The part of each neuron of a layer in the change of the logit along the way from a baseline to the input.

    Conductance (Dhamdhere et al. 2018, arXiv:1805.12233): integrated gradients that flow through the neuron. The map
    has the shape of the layer's output, named as in `layer_output`. The gap is by how much its sum misses the change
    of the logit: near zero with enough `steps` if all of the network passes through the layer. With 'difference' the
    gradient at each of `steps` Gauss-Legendre nodes meets the change of the layer to the next (Shrikumar et al. 2018,
    arXiv:1807.09946), as captum does; the others take the layer's derivative along the way, which needs fewer steps.
    Inputs are floats of any rank, `baseline` a number or an array that broadcasts to them. Can be jitted.

    >>> gradients.layer_conductance(model, variables, x, y, layer='stem', steps=4).map.shape
    (4, 8, 8, 2)
    """
    check_counts('layer_conductance', steps=steps, batch_size=batch_size)
    function, wanted, base = _prepared('layer_conductance', apply, params, x, target, baseline)
    layer = resolve_layer('layer_conductance', function, layer)
    nodes, weights = quadrature('gausslegendre', steps + 1) if rule == 'difference' else quadrature(rule, steps)
    nodes = nodes.astype(x.dtype)

    def of_batch(x: Array, base: Array, wanted: Array) -> Attribution:
        size = batching.copies_at_once(len(x), len(nodes), batch_size)
        total: Any = 0
        last: tuple[Array, Array] | None = None  # the gradient and the output at the node before
        for start in range(0, len(nodes), size):
            count = min(size, len(nodes) - start)
            chosen = np.minimum(start + np.arange(size), len(nodes) - 1)
            points = _points(x, base, wanted, nodes[chosen])
            if rule == 'difference':  # of the last node, with which the points are filled up, to itself: none
                found = _gradient_at(function, params, points, layer)
                gradient, output = (part.reshape(size, len(x), *part.shape[1:]) for part in found)
                total = total + (gradient[:-1] * (output[1:] - output[:-1])).sum(0)
                if last is not None:
                    total = total + last[0] * (output[0] - last[1])
                last = gradient[-1], output[-1]
            else:
                flow = _flow_at(function, params, points, layer)
                flow = flow.reshape(size, len(x), *flow.shape[1:])[:count]
                total = total + jnp.tensordot(jnp.asarray(weights[start : start + count], flow.dtype), flow, 1)
        change = logits_of(function, params, x, wanted) - logits_of(function, params, base, wanted)
        return Attribution(total, total.sum(tuple(range(1, total.ndim))) - change)

    found: Attribution = batching.rows(of_batch, batch_size, x, base, wanted)
    return found


def neuron_conductance(
    apply: Network, params: Params, x: Inputs, target: Target, *, neuron: Neuron, layer: str | None = None,
    baseline: ArrayLike = 0.0, steps: int = 64, rule: Rule = 'gausslegendre', batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """The conductance of one neuron of a layer, divided among the inputs that it flows from.

    `neuron` is its place in the layer's output, without the batch, such as (row, column, channel). The map has the
    shape of the inputs, floats of any rank; its sum is that neuron's number in `layer_conductance`, whose other
    arguments these are. Can be jitted. ValueError for a neuron that is not there.

    >>> gradients.neuron_conductance(model, variables, x, y, layer='stem', neuron=(3, 4, 0), steps=4).map.shape
    (4, 8, 8, 3)
    """
    check_counts('neuron_conductance', steps=steps, batch_size=batch_size)
    function, wanted, base = _prepared('neuron_conductance', apply, params, x, target, baseline)
    layer = resolve_layer('neuron_conductance', function, layer)
    place = _place('neuron_conductance', eval_layer_shape(function, params, x, layer).shape[1:], neuron)
    nodes, weights = quadrature(rule, steps)
    nodes = nodes.astype(x.dtype)

    def of_batch(x: Array, base: Array, wanted: Array) -> Array:
        total = jnp.zeros_like(x)
        for node, weight in zip(nodes, weights, strict=True):
            total = total + float(weight) * _through(
                function, params, Point(x, base, wanted, jnp.asarray(node)), layer, place
            )
        return total

    return Attribution(batching.rows(of_batch, batch_size, x, base, wanted))


def neuron_attribution(
    method: Method, apply: Network, params: Params, x: Inputs, neuron: Neuron, *, layer: str | None = None,
    **options: Any,
) -> Attribution:  # fmt: skip
    """The attribution of one neuron of an inner layer, in place of a logit, by any method of this package.

    `neuron` is its place in the layer's output, without the batch, such as (row, column, channel) or a unit; `layer` is
    named as in `layer_output`; `options` go to the method. Map and gap are those of the method, in units of the neuron;
    inputs are of any rank that it takes. Can be jitted where the method can. ValueError for a neuron that is not there.

    >>> found = gradients.neuron_attribution(gradients.saliency, model, variables, x, (3, 4, 0), layer='stem')
    >>> found.map.shape
    (4, 8, 8, 3)
    """
    function = as_apply(apply)
    classes('neuron_attribution', function, params, x, tokens=True)
    layer = resolve_layer('neuron_attribution', function, layer)
    shape = eval_layer_shape(function, params, x, layer).shape[1:]
    place = _place('neuron_attribution', shape, neuron)
    found = method(_units(function, layer), params, x, int(np.ravel_multi_index(place, shape)), **options)
    return check_method_result('neuron_attribution', found, x)


@lru_cache(maxsize=64)  # the same function each time, or all is compiled again
def _units(apply: Apply, layer: str) -> Apply:
    """The network whose outputs are the neurons of a layer, in one row."""

    def units(params: Params, x: Array) -> Array:
        output: Array = with_layer(apply, layer)(params, x).layer
        return output.reshape(len(output), -1)

    return units


def _prepared(
    name: str, apply: Network, params: Params, x: Inputs, target: Target, baseline: ArrayLike
) -> tuple[Apply, Int[Array, ' batch'], Array]:
    function, wanted = prepare(name, apply, params, x, target)
    check_baseline(name, baseline, x)
    return function, wanted, jnp.broadcast_to(jnp.asarray(baseline, x.dtype), x.shape)


def _place(function: str, shape: tuple[int, ...], neuron: Neuron) -> tuple[int, ...]:
    place = tuple(neuron) if isinstance(neuron, tuple | list) else (neuron,)
    inside = len(place) == len(shape) and all(0 <= at < size for at, size in zip(place, shape, strict=True))
    if not inside:
        raise ValueError(f'{function}: neuron is {neuron}; expected a place in the layer, which gives {shape} an input')
    return place


@partial(jax.jit, static_argnames=('apply', 'layer'))
def _gradient_at(apply: Apply, params: Params, point: Point, layer: str) -> tuple[Array, Array]:
    """The gradient to the layer at a point of the way, and the layer's output there."""
    return layer_gradient(apply, params, point.at, point.wanted, layer)


@partial(jax.jit, static_argnames=('apply', 'layer'))
def _flow_at(apply: Apply, params: Params, point: Point, layer: str) -> Float[Array, 'batch ...']:
    """The gradient to the layer at a point of the way, times the layer's derivative along it."""
    gradient, _ = layer_gradient(apply, params, point.at, point.wanted, layer)
    call = with_layer(apply, layer)
    _, along = jax.jvp(lambda x: call(params, x).layer, (point.at,), (point.x - point.base,))
    flow: Array = gradient * along
    return flow


@partial(jax.jit, static_argnames=('apply', 'layer', 'place'))
def _through(
    apply: Apply, params: Params, point: Point, layer: str, place: tuple[int, ...]
) -> Float[Array, 'batch ...']:
    """The gradient that reaches the input through one neuron at a point of the way, times the whole way."""
    gradient, _ = layer_gradient(apply, params, point.at, point.wanted, layer)
    weight, call = gradient[(slice(None), *place)], with_layer(apply, layer)
    to_input: Array = jax.grad(lambda x: (call(params, x).layer[(slice(None), *place)] * weight).sum())(point.at)
    return to_input * (point.x - point.base)
