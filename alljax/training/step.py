"""One training step: a pure function of the state, the cells on the device, and which of them to use."""

from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from alljax.gradients.named_parameters import layer
from alljax.models import Model, Variables
from alljax.models.frozen_statistics import use_running_statistics
from alljax.models.trees import flatten, unflatten
from alljax.training.learning_rate_factors import head_only
from alljax.training.loss import cross_entropy, mean_of_present

Parameters = dict[str, Array]  # name → leaf: those that are trained
Prepare = Callable[[Shaped[Array, 'batch ...'], Key[Array, '']], Float[Array, 'batch ...']]


class TrainingSetup(NamedTuple):
    """All that stays the same from step to step."""

    model: Model
    optimizer: optax.GradientTransformation
    prepare: Prepare  # augments and normalizes images
    trained: Collection[str]  # names of the parameters that learn; no other is differentiated
    class_weights: Float[Array, ' classes']  # factors on the loss of each class's cells
    seed: int


class State(NamedTuple):
    """All that a step changes."""

    variables: Variables
    optimizer: optax.OptState
    step: Int[Array, '']


class Batch(NamedTuple):
    """Cells on the device; `chosen` is padded with -1 to the batch size, so that one program serves every batch."""

    images: Shaped[Array, 'all ...']  # or features where only the head is trained
    labels: Int[Array, ' all']
    chosen: Int[Array, ' batch']


class Metrics(NamedTuple):
    """Loss and accuracy of one step, before its update."""

    loss: Float[Array, '']  # mean cross-entropy in nats
    correct: Int[Array, '']  # cells
    cells: Int[Array, '']
    gradient_statistics: dict[str, Float[Array, '']]  # of a monitored step; else empty


@runtime_checkable
class Step(Protocol):
    """A training step. It may overwrite the arrays of the state that it is given."""

    def __call__(self, state: State, batch: Batch, /) -> tuple[State, Metrics]:
        """The state after the step, and the metrics."""


def initial_state(setup: TrainingSetup, variables: Variables) -> State:
    """The state before the first step."""
    return State(variables, setup.optimizer.init(trained_parameters(setup, variables)), jnp.zeros((), jnp.int32))


def make_step(setup: TrainingSetup) -> Step:
    """The jitted step. Its key depends on (seed, step) only, so a resumed run draws what an uninterrupted one would."""

    @partial(jax.jit, donate_argnums=0)
    def step(state: State, batch: Batch) -> tuple[State, Metrics]:
        examples = examples_of(setup, state, batch)

        def loss(parameters: Parameters) -> tuple[Float[Array, ''], Outputs]:
            losses, outputs = losses_of(setup, state.variables, parameters, examples)
            return mean_of_present(losses, examples.present), outputs

        parameters = trained_parameters(setup, state.variables)
        (value, outputs), gradient = jax.value_and_grad(loss, has_aux=True)(parameters)
        after, _ = updated(setup, state, gradient, outputs)
        return after, metrics_of(value, outputs, examples)

    return step


class Examples(NamedTuple):
    """The cells of one step as the network takes them."""

    image: Float[Array, 'batch ...']
    label: Int[Array, ' batch']
    present: Bool[Array, ' batch']  # False where a smaller batch is filled up
    key: Key[Array, '']  # of dropout


class Outputs(NamedTuple):
    """The network's answer to the cells of one step."""

    logits: Float[Array, 'batch classes']
    collections: Variables  # all variables but the parameters, such as batch statistics, after the step


def trained_parameters(setup: TrainingSetup, variables: Variables) -> Parameters:
    """The parameters that learn, by name."""
    return {name: leaf for name, leaf in flatten(variables['params']).items() if name in setup.trained}


def examples_of(setup: TrainingSetup, state: State, batch: Batch) -> Examples:
    """The chosen cells, augmented and normalized.

    What fills a last, smaller batch are its own cells again, so that batch statistics are of real cells; they count
    neither in the loss nor in the metrics.
    """
    dropout, augmentation = jax.random.split(jax.random.fold_in(jax.random.key(setup.seed), state.step))
    present = batch.chosen >= 0
    index = batch.chosen[jnp.arange(len(present)) % present.sum()]
    return Examples(setup.prepare(batch.images[index], augmentation), batch.labels[index], present, dropout)


def losses_of(
    setup: TrainingSetup, variables: Variables, trained: Parameters, examples: Examples
) -> tuple[Float[Array, ' batch'], Outputs]:
    """The loss of each cell with other values of the `trained` parameters.

    A batch normalization of which nothing is trained keeps its running statistics, and uses them. Where only the head
    is trained, the frozen layers before it have no dropout: their features are a function of the image.
    """
    model, params = setup.model, unflatten(flatten(variables['params']) | trained)
    collections = {name: tree for name, tree in variables.items() if name != 'params'}
    everything = {'params': params, **collections}
    if head_only(setup.trained):
        logits = model.apply(everything, examples.image)
    else:
        frozen = {layer(name) for name in flatten(params)} - {layer(name) for name in setup.trained}
        with use_running_statistics(frozen):
            logits, collections = model.apply(
                everything, examples.image, train=True, mutable=list(collections), rngs={'dropout': examples.key}
            )
    return cross_entropy(logits, examples.label, setup.class_weights), Outputs(logits, collections)


def updated(setup: TrainingSetup, state: State, gradient: Parameters, outputs: Outputs) -> tuple[State, Parameters]:
    """The state after the optimizer's update, and that update."""
    before = trained_parameters(setup, state.variables)
    updates, optimizer = setup.optimizer.update(gradient, state.optimizer, before)
    params = unflatten(flatten(state.variables['params']) | optax.apply_updates(before, updates))
    return State({'params': params, **outputs.collections}, optimizer, state.step + 1), updates


def metrics_of(loss: Float[Array, ''], outputs: Outputs, examples: Examples) -> Metrics:
    """The metrics of a step that does not look at its gradients."""
    correct = jnp.sum((outputs.logits.argmax(-1) == examples.label) & examples.present)
    return Metrics(loss, correct, examples.present.sum(), {})
