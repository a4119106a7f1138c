"""A training step that also measures its gradients, layer by layer, as `gradient_statistics` has it."""

from functools import partial

import jax
from jaxtyping import Array, Float, Int

from alljax.gradients import factored_gradients
from alljax.training import gradient_statistics
from alljax.training.step import (
    Batch,
    Metrics,
    Outputs,
    Parameters,
    ReadBatch,
    State,
    Step,
    TrainingSetup,
    examples_of,
    losses_of,
    metrics_of,
    objective,
    trained_parameters,
    updated,
)


def make_monitored_step(setup: TrainingSetup) -> Step:
    """The jitted step of `make_step`, with the statistics of its gradients among the metrics.

    It is a program of its own, so that a step without them pays nothing for them. The gradients of single cells come
    in factors, from what enters each layer and from the cotangent of what leaves it; the latter is the gradient to an
    offset of zero that is added there.
    """

    @partial(jax.jit, donate_argnums=0)
    def step(state: State, batch: Batch | ReadBatch) -> tuple[State, Metrics]:
        examples = examples_of(setup, state, batch)
        parameters = trained_parameters(setup, state.variables)

        def losses(
            parameters: Parameters, image: Float[Array, 'batch ...'], label: Int[Array, ' batch']
        ) -> Float[Array, ' batch']:
            given = examples._replace(image=image, label=label, blend=None)  # of any number of cells
            return losses_of(setup, state.variables, parameters, given)[0]

        layers = factored_gradients.discover(losses, parameters, examples.image, examples.label)

        def loss(parameters: Parameters, offsets: Parameters) -> tuple[Float[Array, ''], tuple[Outputs, Parameters]]:
            with factored_gradients.recording(layers, offsets) as inputs:
                losses, outputs = losses_of(setup, state.variables, parameters, examples)
            value, outputs = objective(setup, state, losses, examples, outputs)
            return value, (outputs, inputs)

        (value, (outputs, inputs)), (gradient, cotangents) = jax.value_and_grad(loss, (0, 1), has_aux=True)(
            parameters, factored_gradients.zero_offsets(layers)
        )
        after, updates = updated(setup, state, gradient, outputs)
        metrics = metrics_of(value, outputs, examples)
        # the loss is a mean over the cells: times their number, a cotangent is that of a cell's own loss
        factors = factored_gradients.factors(
            layers, inputs, jax.tree.map(lambda part: part * metrics.cells, cotangents)
        )
        found = gradient_statistics.lengths(gradient, parameters, updates) | gradient_statistics.spread(
            factors, examples.label, examples.present, len(setup.class_weights)
        )
        return after, metrics._replace(gradient_statistics=found, gradient=gradient)

    return step
