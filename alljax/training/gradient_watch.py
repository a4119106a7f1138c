"""Looks at a training from step to step: the angle of its gradient, the curvature, and how far the layers have moved.

`gradients.watch` has the same numbers for any loop; here the gradient is that of the step, and each part is a program
that is compiled once for all looks.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int, Integer, Shaped

from alljax import gradients
from alljax.gradients.intermediates import with_layers
from alljax.gradients.named_parameters import layer
from alljax.gradients.representation_similarity import alike, centered_products
from alljax.gradients.training_watch import cosines
from alljax.models import Variables
from alljax.models.trees import flatten, unflatten
from alljax.training import inference
from alljax.training.inputs import Inputs
from alljax.training.loss import cross_entropy
from alljax.training.step import Parameters, State, TrainingSetup, trained_parameters

MOST_CELLS = 32  # of which curvature and layers are taken
MOST_LAYERS = 6
ITERATIONS = 5  # of Lanczos' method, each with a vector as long as the trained parameters
Forward = Callable[[Variables, Array], Array]


class Memory(NamedTuple):
    """Record of one look, which the next compares with."""

    gradient: Parameters
    direction: Float[Array, ' size'] | None  # of the largest curvature
    epoch: int
    layers: dict[str, Array]  # centered inner products between cells, of what each layer gives


# state after a step, its gradient, its epoch from 0, memory of the last look → numbers, and memory for the next
Look = Callable[[State, Parameters, int, Memory | None], tuple[dict[str, float], Memory]]


class Probe(NamedTuple):
    """The training cells that each look asks, as the network is tested: not turned, without dropout."""

    forward: Forward  # from variables and rows to logits, not jitted
    rows: Shaped[Array, 'cells ...']  # images or features
    labels: Int[Array, ' cells']
    layers: list[str]  # that are compared


def make_look(
    setup: TrainingSetup, fed: Inputs, labels: Int[Array, ' all'], train: Integer[np.ndarray, ' train'], curvature: bool
) -> Look:  # fmt: skip
    """The function that looks at training after a step, on up to 32 of the training cells.

    Its numbers are the cosine with the gradient of the last look, by layer and of all; with `curvature` the largest
    eigenvalue of the Hessian of these cells' loss; and, at the first look of each epoch, how alike what layers give is
    to the epoch before (linear CKA). The last two say the seconds that they took.
    """
    probe = make_probe(fed, labels, train, setup.seed)
    names = probe.layers

    @jax.jit
    def product(variables: Variables, rows: Array, labels: Array, vector: Array) -> Array:
        flat, unravel = ravel_pytree(trained_parameters(setup, variables))

        def slope(flat: Array) -> Array:
            def loss(flat: Array) -> Array:
                logits = probe.forward(_with(variables, unravel(flat)), rows)
                return cross_entropy(logits, labels, jnp.ones(logits.shape[-1])).mean()

            found: Array = jax.grad(loss)(flat)
            return found

        found: Array = jax.jvp(slope, (flat,), (vector,))[1]
        return found

    @jax.jit
    def products_of_layers(variables: Variables, rows: Array) -> dict[str, Array]:
        outputs = with_layers(probe.forward, names)(variables, rows)[1]
        return {name: centered_products(output) for name, output in outputs.items()}

    def look(state: State, gradient: Parameters, epoch: int, memory: Memory | None) -> tuple[dict[str, float], Memory]:
        numbers: dict[str, float] = {}
        direction, layers = (memory.direction, memory.layers) if memory else (None, {})
        if memory:
            numbers |= {f'step_cosine/{part}': value for part, value in cosines(gradient, memory.gradient).items()}
        if curvature:
            start = time.perf_counter()
            flat, unravel = ravel_pytree(trained_parameters(setup, state.variables))
            op = gradients.Operator(partial(product, state.variables, probe.rows, probe.labels), flat, unravel)
            key = jax.random.key(setup.seed)
            values, trees = gradients.eigenvectors(op, 1, key=key, start=direction, iterations=ITERATIONS)
            direction = ravel_pytree(trees[0])[0]
            numbers |= {'largest_curvature': float(values[0]), 'seconds/curvature': time.perf_counter() - start}
        if names and (memory is None or epoch > memory.epoch):
            start = time.perf_counter()
            found = products_of_layers(state.variables, probe.rows)
            numbers |= {f'cka/{name}': float(alike(found[name], layers[name])) for name in names if name in layers}
            layers = found
            numbers['seconds/layers'] = time.perf_counter() - start
        return numbers, Memory(gradient, direction, epoch, layers)

    return look


def make_probe(fed: Inputs, labels: Int[Array, ' all'], train: Integer[np.ndarray, ' train'], seed: int) -> Probe:
    """Training cells drawn by the seed, each once, and layers with parameters evenly through the network."""
    cells = np.unique(train)
    chosen = np.random.default_rng([seed, 5]).permutation(cells)[:MOST_CELLS]
    model, rows = fed.model, jnp.asarray(fed.images[chosen])

    def as_taken(rows: Array) -> Array:
        return inference.prepared(rows, model.input) if rows.dtype == jnp.uint8 else rows

    def forward(variables: Variables, rows: Array) -> Array:
        return model.apply(variables, as_taken(rows))

    names = gradients.layer_names(model.apply, fed.variables, jax.eval_shape(as_taken, rows))
    weighed = {layer(name) for name in flatten(fed.variables['params'])}
    learned = [name for name in names if name in weighed]
    places = np.unique(np.linspace(0, max(len(learned) - 1, 0), MOST_LAYERS).astype(int))
    return Probe(forward, rows, labels[chosen], [learned[place] for place in places] if learned else [])


def _with(variables: Variables, trained: Parameters) -> Variables:
    return {**variables, 'params': unflatten(flatten(variables['params']) | trained)}
