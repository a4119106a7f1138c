"""Sums over examples of what their gradients make when multiplied, from both sides of linen's layers.

The curvature of an example is Σ (Jᵀ c)(Jᵀ c)ᵀ over cotangents c of its outputs (`curvature_matrix.columns`). One
forward pass, and one pass back for each column, give what enters each layer and what comes back to it.
"""

from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from alljax.gradients.convolution_patches import patches
from alljax.gradients.curvature_matrix import Matrix, columns
from alljax.gradients.factored_gradients import (
    Arrays,
    Layer,
    Layers,
    Pair,
    discover,
    explicit,
    factors,
    recording,
    zero_offsets,
)
from alljax.gradients.named_parameters import wide
from alljax.gradients.typing import Params, Rows

Names = tuple[str, ...]  # of a layer's kernel, and of its bias if it has one that varies


class Batch(NamedTuple):
    """Some examples; those that only fill the batch are not present."""

    x: Float[Array, 'batch ...']
    y: Float[Array, 'batch ...']
    noise: Float[Array, 'batch samples ...']
    present: Bool[Array, ' batch']


class Sides(NamedTuple):
    """Both factors of a layer's gradients; the last input is 1 where the layer has a bias."""

    inputs: Float[Array, 'batch groups places inputs']
    cotangents: Float[Array, 'columns batch groups places outputs']


class Passed(NamedTuple):
    """The arrays that enter the layers, and those that come back to them for each column."""

    layers: Layers
    inputs: Arrays  # [batch, ...]
    cotangents: Arrays  # [columns, batch, ...]
    columns: Float[Array, 'columns batch ...']


def layers_of(matrix: Matrix, params: Params, x: Rows, y: Rows) -> Layers:
    """The layers of the network whose gradients have factors; nothing is computed."""

    def one_number_each(params: Params, x: Array, y: Array) -> Array:
        return jnp.sum(matrix.outputs(params, {}, x, y).reshape(len(x), -1), 1)

    return discover(one_number_each, params, x, y)


def passed(
    matrix: Matrix, params: Params, batch: Batch, ways: Float[Array, 'columns batch ...'] | None = None
) -> Passed:
    """The passes through the network, forward and back; absent examples come back as zeros.

    Back come the columns of the matrix, or other cotangents of the outputs.
    """
    layers = layers_of(matrix, params, batch.x, batch.y)

    def run(offsets: Arrays) -> tuple[Array, Arrays]:
        with recording(layers, offsets) as inputs:
            return matrix.outputs(params, {}, batch.x, batch.y), inputs

    found, back, inputs = jax.vjp(run, zero_offsets(layers), has_aux=True)
    if ways is None:
        ways = columns(matrix, found, batch.y, batch.noise)
    ways = jnp.where(batch.present.reshape(-1, *[1] * (ways.ndim - 2)), ways, 0).astype(found.dtype)
    (cotangents,) = jax.vmap(back)(ways)
    return Passed(layers, inputs, cotangents, ways)


def kernels(layers: Layers, names: Names) -> dict[Names, str]:
    """The chosen kernel and bias of each dense or convolutional layer → the layer's place."""
    found = {}
    for place, layer in layers.items():
        chosen = tuple(layer.leaves[part] for part in ('kernel', 'bias') if layer.leaves.get(part) in names)
        if layer.leaves.get('kernel') in chosen:
            found[chosen] = place
    return found


def sides(passed: Passed, place: str, *, bias: bool) -> Sides:
    """Both factors of a layer's gradients, the inputs in the order of the kernel."""
    module, x, back = passed.layers[place].module, wide(passed.inputs[place]), wide(passed.cotangents[place])
    if isinstance(module, nn.Conv):
        groups, inputs = module.feature_group_count, patches(x, module, in_order=True)
    else:
        groups, inputs = 1, x.reshape(len(x), 1, -1, x.shape[-1])
    if bias:
        inputs = jnp.concatenate([inputs, jnp.ones((*inputs.shape[:3], 1), inputs.dtype)], 3)
    flat = back.reshape(*back.shape[:2], -1, groups, back.shape[-1] // groups)
    return Sides(inputs, flat.swapaxes(2, 3))


def squares(both: Sides) -> Float[Array, 'groups inputs outputs']:
    """The sum over columns and examples of the squared gradients of a layer."""
    inputs, cotangents = both
    if inputs.shape[2] == 1:
        return jnp.einsum('ngi,kngo->gio', inputs[:, :, 0] ** 2, cotangents[:, :, :, 0] ** 2)

    def of_column(back: Array) -> Array:
        return jnp.sum(jnp.einsum('ngti,ngto->ngio', inputs, back) ** 2, 0)

    if len(cotangents) == 1:  # no loop, within which XLA:CPU takes one core
        return of_column(cotangents[0])
    whole: Array = jax.lax.map(of_column, cotangents).sum(0)
    return whole


def of_others(matrix: Matrix, params: Params, passed: Passed, batch: Batch, names: list[str]) -> Arrays:
    """Name → gradients [columns, batch, size] of parameters that belong to no such layer; zeros of absent examples."""
    found: Arrays = {}
    for place, layer in passed.layers.items():
        own = {part: name for part, name in layer.leaves.items() if name in names}
        if own:
            found |= jax.vmap(partial(_of_layer, passed, place, layer._replace(leaves=own)))(passed.cotangents[place])
    rest = [name for name in names if name not in found]
    if not rest:
        return found

    def pulled(params: Params, x: Array, way: Array) -> Array:
        assert matrix.apply is not None
        return jnp.sum((matrix.apply(params, x) * way).reshape(len(x), -1), 1)

    if matrix.apply is None:
        each = {name: leaf[None] for name, leaf in explicit(matrix.loss, params, batch.x, batch.y, rest).items()}
    else:
        each = jax.vmap(lambda way: explicit(pulled, params, batch.x, way, rest))(passed.columns)
    for name, leaf in each.items():
        found[name] = jnp.where(batch.present[:, None], leaf.reshape(*leaf.shape[:2], -1), 0)
    return found


def _of_layer(passed: Passed, place: str, layer: Layer, back: Array) -> Arrays:
    """Those of a normalization's scale and bias, or of a bias whose kernel does not vary."""
    whole = factors({place: layer}, {place: passed.inputs[place]}, {place: back})
    return {name: leaf for name, leaf in whole.items() if not isinstance(leaf, Pair)}


def as_matrices(leaves: list[Array], groups: int) -> Float[Array, 'groups inputs outputs']:
    """A kernel, and a bias below it, as a matrix for each group of channels."""
    kernel = jnp.asarray(leaves[0])
    whole = kernel.reshape(-1, groups, kernel.shape[-1] // groups).swapaxes(0, 1)
    below = [jnp.asarray(bias).reshape(groups, 1, -1) for bias in leaves[1:]]
    return jnp.concatenate([whole, *below], 1)


def from_matrices(matrices: Float[Array, 'groups inputs outputs'], like: list[Array]) -> list[Array]:
    """The kernel and bias again, of the shapes of others."""
    kernel, biases = (matrices[:, :-1], [matrices[:, -1]]) if len(like) > 1 else (matrices, [])
    leaves = [kernel.swapaxes(0, 1), *biases]
    return [leaf.reshape(jnp.shape(own)) for leaf, own in zip(leaves, like, strict=True)]


@partial(jax.jit, static_argnums=0)
def diagonal(matrix: Matrix, params: Params, chosen: Arrays, batch: Batch) -> Arrays:
    """The sum over columns and examples of the squared gradients of the chosen parameters, by name."""
    with jax.default_matmul_precision('highest'):
        there = passed(matrix, params, batch)
        found: Arrays = {}
        for names, place in kernels(there.layers, matrix.names).items():
            whole = squares(sides(there, place, bias=len(names) > 1))
            found |= zip(names, from_matrices(whole, [chosen[name] for name in names]), strict=True)
        rest = of_others(matrix, params, there, batch, [name for name in matrix.names if name not in found])
        return found | {name: jnp.sum(leaf**2, (0, 1)).reshape(chosen[name].shape) for name, leaf in rest.items()}
