"""One training step: a pure function of the state, the cells on the device, and which of them to use."""

from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Key, Shaped

from alljax.gradients.named_parameters import layer
from alljax.models import Model, Variables
from alljax.models.batch_statistics import use_running_statistics
from alljax.models.trees import flatten, unflatten
from alljax.training import devices, group_dro, mixup, parameter_average, precision
from alljax.training.learning_rate_factors import head_only
from alljax.training.loss import cross_entropy, mean_of_present
from alljax.training.mixup import Blend
from alljax.training.parameter_average import Average

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
    smoothing: float = 0.0  # share of each label that is spread over all classes
    mixup: float = 0.0  # parameter of the Beta distribution of the shares; 0 for no blending
    average_decay: float = 0.0  # of the moving average of the parameters; 0 for none
    freeze_statistics: bool = False  # every batch normalization keeps its running statistics, and uses them
    groups: int = 0  # of the training side, whose losses group DRO weighs; 0 for the mean over cells
    group_rate: float = 0.01  # step size of their weights
    mesh: Mesh | None = None  # of the devices among which a batch is divided; None for one device
    precision: str = 'tf32'  # one of alljax.training.precision.PRECISIONS


class State(NamedTuple):
    """All that a step changes."""

    variables: Variables
    optimizer: optax.OptState
    step: Int[Array, '']
    average: Average | None = None  # of what is trained; None without one
    group_weights: Float[Array, ' groups'] | None = None  # of group DRO

    @property
    def evaluation_variables(self) -> Variables:
        """Those to validate, test and keep: with the averages, if there are any."""
        return parameter_average.merged(self.variables, self.average)


class Batch(NamedTuple):
    """Cells on the device; `chosen` is padded with -1 to the batch size, so that one program serves every batch."""

    images: Shaped[Array, 'all ...']  # or features where only the head is trained
    labels: Int[Array, ' all']
    chosen: Int[Array, '*steps batch']  # of several steps for `make_epoch`
    groups: Int[Array, ' all'] | None = None  # numbers from 0 on the training side, for group DRO


class ReadBatch(NamedTuple):
    """The cells of one step, read for it in their order, and filled up to the batch size with its own cells again."""

    images: Shaped[Array, 'batch ...']
    labels: Int[Array, ' batch']
    present: Bool[Array, ' batch']  # False for what fills it up
    groups: Int[Array, ' batch'] | None = None  # numbers from 0 on the training side, for group DRO


class Metrics(NamedTuple):
    """Loss and accuracy of one step, before its update."""

    loss: Float[Array, '']  # that is minimized: mean cross-entropy in nats, or group DRO's sum
    correct: Int[Array, '']  # cells
    cells: Int[Array, '']
    gradient_statistics: dict[str, Float[Array, '']]  # of a monitored step; else empty
    gradient: Parameters | None = None  # of a monitored step


@runtime_checkable
class Step(Protocol):
    """A training step. It may overwrite the arrays of the state that it is given."""

    def __call__(self, state: State, batch: Batch | ReadBatch, /) -> tuple[State, Metrics]:
        """The state after the step, and the metrics."""


def initial_state(setup: TrainingSetup, variables: Variables) -> State:
    """The state before the first step."""
    trained = trained_parameters(setup, variables)
    average = parameter_average.started(variables, trained) if setup.average_decay else None
    weights = group_dro.uniform(setup.groups) if setup.groups else None
    update = jax.jit(setup.optimizer.init)(trained)  # one program to compile; each array of it would be one else
    # The host reads the step: as the result of a program it would wait for all that was asked for before it.
    return State(variables, update, jax.device_put(np.int32(0)), average, weights)


def make_step(setup: TrainingSetup) -> Step:
    """The jitted step. Its key depends on (seed, step) only, so a resumed run draws what an uninterrupted one would."""
    jitted: Step = jax.jit(step_of(setup), donate_argnums=0)
    return jitted


def make_epoch(setup: TrainingSetup) -> Step:
    """The steps of an epoch as one jitted program, after which the host is asked for nothing until its end.

    Its batch has the cells of each step, `chosen` being [steps, batch], and its metrics are of each step. A CPU is
    slower by it than step after step: XLA runs a convolution within a loop on one core.
    """
    step = step_of(setup)

    @partial(jax.jit, donate_argnums=0)
    def epoch(state: State, batch: Batch) -> tuple[State, Metrics]:
        def one(state: State, chosen: Int[Array, ' batch']) -> tuple[State, Metrics]:
            return step(state, batch._replace(chosen=chosen))

        after, metrics = jax.lax.scan(one, state, batch.chosen)
        return after, devices.kept_on_each(metrics, setup.mesh)

    return epoch


def step_of(setup: TrainingSetup) -> Step:
    """The step as a pure function, to be jitted."""

    def step(state: State, batch: Batch | ReadBatch) -> tuple[State, Metrics]:
        examples = examples_of(setup, state, batch)

        def loss(parameters: Parameters) -> tuple[Float[Array, ''], Outputs]:
            losses, outputs = losses_of(setup, state.variables, parameters, examples)
            return objective(setup, state, losses, examples, outputs)

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
    blend: Blend | None = None  # of mixup
    group: Int[Array, ' batch'] | None = None  # for group DRO


class Outputs(NamedTuple):
    """The network's answer to the cells of one step, and what else changes with it."""

    logits: Float[Array, 'batch classes']
    collections: Variables  # all variables but the parameters, such as batch statistics, after the step
    group_weights: Float[Array, ' groups'] | None = None  # after the step


def trained_parameters(setup: TrainingSetup, variables: Variables) -> Parameters:
    """The parameters that learn, by name."""
    return {name: leaf for name, leaf in flatten(variables['params']).items() if name in setup.trained}


def examples_of(setup: TrainingSetup, state: State, batch: Batch | ReadBatch) -> Examples:
    """The chosen cells, augmented and normalized.

    What fills a last, smaller batch are its own cells again, so that batch statistics are of real cells; they count
    neither in the loss nor in the metrics.
    """
    key = jax.random.fold_in(jax.random.key(setup.seed), state.step)
    dropout, augmentation = jax.random.split(key)
    cells = batch if isinstance(batch, ReadBatch) else _gathered(batch)
    image, label, blend = setup.prepare(devices.divided(cells.images, setup.mesh), augmentation), cells.labels, None
    if setup.mixup:
        image, blend = mixup.blended(image, label, jax.random.fold_in(key, 2), setup.mixup)
    return Examples(image, label, cells.present, dropout, blend, cells.groups)


def _gathered(batch: Batch) -> ReadBatch:
    present = batch.chosen >= 0
    index = batch.chosen[jnp.arange(len(present)) % present.sum()]
    groups = None if batch.groups is None else batch.groups[index]
    return ReadBatch(batch.images[index], batch.labels[index], present, groups)


def losses_of(
    setup: TrainingSetup, variables: Variables, trained: Parameters, examples: Examples
) -> tuple[Float[Array, ' batch'], Outputs]:
    """The loss of each cell with other values of the `trained` parameters.

    A batch normalization of which nothing is trained keeps its running statistics, and uses them. Where only the head
    is trained, the frozen layers before it have no dropout: their features are a function of the image.
    """
    model, params = setup.model, unflatten(flatten(variables['params']) | trained)
    collections = {name: tree for name, tree in variables.items() if name != 'params'}
    everything = {'params': precision.lowered(params, setup.precision), **collections}
    image = precision.lowered(examples.image, setup.precision)
    if head_only(setup.trained):
        with precision.products_in(setup.precision):
            logits = model.apply(everything, image)
    else:
        frozen = {layer(name) for name in flatten(params)}
        if not setup.freeze_statistics:
            frozen -= {layer(name) for name in setup.trained}
        with use_running_statistics(frozen), precision.products_in(setup.precision):
            logits, changed = model.apply(
                everything, image, train=True, mutable=list(collections), rngs={'dropout': examples.key}
            )
        collections = precision.like(changed, collections)
    logits = logits.astype(jnp.float32) if setup.precision == 'bf16' else logits
    losses = cross_entropy(logits, examples.label, setup.class_weights, setup.smoothing)
    if examples.blend:
        other = cross_entropy(logits, examples.blend.label, setup.class_weights, setup.smoothing)
        losses = examples.blend.share * losses + (1 - examples.blend.share) * other
    return losses, Outputs(logits, collections)


def objective(
    setup: TrainingSetup, state: State, losses: Float[Array, ' batch'], examples: Examples, outputs: Outputs
) -> tuple[Float[Array, ''], Outputs]:
    """The number to minimize: the mean loss of the cells, or group DRO's; and the outputs with its new weights."""
    if state.group_weights is None or examples.group is None:
        return mean_of_present(losses, examples.present), outputs
    value, weights = group_dro.objective(
        losses, examples.group, examples.present, state.group_weights, setup.group_rate
    )
    return value, outputs._replace(group_weights=weights)


def updated(setup: TrainingSetup, state: State, gradient: Parameters, outputs: Outputs) -> tuple[State, Parameters]:
    """The state after the optimizer's update, and that update."""
    before = trained_parameters(setup, state.variables)
    updates, optimizer = setup.optimizer.update(gradient, state.optimizer, before)
    params = unflatten(flatten(state.variables['params']) | optax.apply_updates(before, updates))
    variables, average = {'params': params, **outputs.collections}, state.average
    if average is not None:
        average = parameter_average.moved(average, variables, before, state.step, setup.average_decay)
    after = State(variables, optimizer, state.step + 1, average, outputs.group_weights)
    return devices.kept_on_each(after, setup.mesh), updates


def metrics_of(loss: Float[Array, ''], outputs: Outputs, examples: Examples) -> Metrics:
    """The metrics of a step that does not look at its gradients."""
    correct = jnp.sum((outputs.logits.argmax(-1) == examples.label) & examples.present)
    return Metrics(loss, correct, examples.present.sum(), {})
