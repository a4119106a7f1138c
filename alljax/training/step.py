"""One training step: a pure function of the state, the cells on the device, and which of them to use."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Shaped

from alljax.gradients import factored_gradients
from alljax.gradients.named_parameters import layer
from alljax.models import Model, Variables
from alljax.models.frozen_statistics import use_running_statistics
from alljax.models.trees import flatten, unflatten
from alljax.training import gradient_statistics
from alljax.training.rate_factors import head_only


class Batch(NamedTuple):
    """Cells on the device; `chosen` is padded with -1 to the batch size, so that one program serves every batch."""

    images: Shaped[Array, 'all ...']  # pictures, or features where only the head is trained
    labels: Int[Array, ' all']
    chosen: Int[Array, ' batch']


class State(NamedTuple):
    """All that a step changes."""

    variables: Variables
    optimizer: optax.OptState
    step: Int[Array, '']


class Metrics(NamedTuple):
    """Of one step, before its update: mean cross-entropy in nats, cells that were right, cells that were there."""

    loss: Float[Array, '']
    correct: Int[Array, '']
    cells: Int[Array, '']
    gradients: gradient_statistics.Numbers  # of a step that looks at them; else empty


Prepare = Callable[[Shaped[Array, 'batch ...'], Array], Float[Array, 'batch ...']]
Step = Callable[..., tuple[State, Metrics]]  # (State, Batch, look=False)


def init(variables: Variables, optimizer: optax.GradientTransformation, trained: Collection[str]) -> State:
    """The state before the first step."""
    return State(variables, optimizer.init(_only(variables, trained)), jnp.zeros((), jnp.int32))


def make_step(
    model: Model,
    optimizer: optax.GradientTransformation,
    prepare: Prepare,
    trained: Collection[str],
    weights: Float[Array, ' classes'],
    seed: int,
) -> Step:
    """The jitted step. Its key depends on (seed, step) only, so a resumed run draws what an uninterrupted one would.

    `prepare(images, key)` augments and normalizes; only the `trained` parameters are differentiated, so that frozen
    layers cost a forward pass and nothing else; `weights` multiply each class's loss. A batch normalization of which
    nothing is trained keeps its running statistics, and uses them. What fills a last, smaller batch are its own cells
    again, so that batch statistics are of real cells; they count neither in the loss nor in the metrics. Where only the
    head is trained, the frozen layers before it have no dropout: their features are a function of the picture.

    `step(state, batch, look=True)` does the same and says of the gradients what `watch` finds; it is another program,
    so that a step that does not look pays nothing for it.
    """
    moving, frozen = {layer(name) for name in trained}, head_only(trained)

    def losses(
        trained: dict[str, Array], image: Array, label: Array, variables: Variables, key: Array
    ) -> tuple[Array, tuple[Variables, Array]]:
        params = unflatten(flatten(variables['params']) | trained)
        rest = {name: tree for name, tree in variables.items() if name != 'params'}
        if frozen:
            logits = model.apply({'params': params, **rest}, image)
        else:
            with use_running_statistics({layer(name) for name in flatten(params)} - moving):
                logits, rest = model.apply(
                    {'params': params, **rest}, image, train=True, mutable=list(rest), rngs={'dropout': key}
                )
        return optax.softmax_cross_entropy_with_integer_labels(logits, label) * weights[label], (rest, logits)

    @partial(jax.jit, donate_argnums=0, static_argnames='look')
    def step(state: State, batch: Batch, look: bool = False) -> tuple[State, Metrics]:
        dropout, augment = jax.random.split(jax.random.fold_in(jax.random.key(seed), state.step))
        present = batch.chosen >= 0
        index = batch.chosen[jnp.arange(len(present)) % present.sum()]
        image, label = prepare(batch.images[index], augment), batch.labels[index]
        old = _only(state.variables, trained)
        each = partial(losses, variables=state.variables, key=dropout)
        layers = factored_gradients.discover(lambda *given: each(*given)[0], old, image, label) if look else {}

        def loss(trained: dict[str, Array], push: dict[str, Array]) -> tuple[Array, tuple[Any, ...]]:
            with factored_gradients.recording(layers, push) as inputs:
                found, (rest, logits) = each(trained, image, label)
            return jnp.sum(found * present) / present.sum(), (rest, logits, inputs)

        (value, (rest, logits, inputs)), (gradient, back) = jax.value_and_grad(loss, (0, 1), has_aux=True)(
            old, factored_gradients.zero_offsets(layers)
        )
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, old)
        params = unflatten(flatten(state.variables['params']) | optax.apply_updates(old, updates))
        correct = jnp.sum((logits.argmax(-1) == label) & present)
        seen: gradient_statistics.Numbers = {}
        if look:
            short = factored_gradients.factors(layers, inputs, jax.tree.map(lambda part: part * present.sum(), back))
            seen = gradient_statistics.lengths(gradient, old, updates) | gradient_statistics.spread(
                short, label, present, len(weights)
            )
        return State({'params': params, **rest}, optimizer_state, state.step + 1), Metrics(
            value, correct, present.sum(), seen
        )

    return step


def _only(variables: Variables, names: Collection[str]) -> dict[str, Array]:
    return {name: leaf for name, leaf in flatten(variables['params']).items() if name in names}
