"""Many heads on the same frozen features, trained in one program: each as if it were trained alone."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped

from alljax.models import Apply, Model, Variables
from alljax.training import optimizer
from alljax.training.optimizer import OptimizerOptions
from alljax.training.step import Batch, Metrics, State, TrainingSetup, initial_state, make_step

MEMORY = 2e9  # bytes that the states of the heads of one program may take, with gradients and updates
CACHE = 32e6  # bytes of those that are stepped side by side on a CPU: more of them than its cache holds is slower
SMALL, FILLED = 1e6, 1.5  # bytes up to which a head may be filled up to any size, and how much larger ones may grow
FAR_BELOW = -1e30  # the logit of a class that a head does not have: its probability is exactly 0

MakeHead = Callable[[Variables, int], Model]  # from variables, whose shapes it takes, and a number of classes


class HeadTraining(NamedTuple):
    """All in which the training of one head differs from that of another."""

    variables: Variables  # {'params': {'head': …}}, before the first step
    labels: Int[Array, ' all']  # of each row of the features
    batches: Int[Array, 'steps batch']  # rows of each step, padded with -1
    rates: Float[Array, ' steps']  # learning rate of each step, before the factors
    class_weights: Float[Array, ' classes']
    seed: Int[Array, ''] | int = 0


class Recipe(NamedTuple):
    """All in which they do not differ."""

    optimizer: OptimizerOptions  # whose rate, schedule and warmup are those of each head
    factors: Mapping[str, float]  # trained parameter → factor on its learning rate
    smoothing: float = 0.0


class TrainedHead(NamedTuple):
    """One head after its last step, with the metrics of each step."""

    state: State
    losses: Float[np.ndarray, ' steps']
    correct: Int[np.ndarray, ' steps']
    cells: Int[np.ndarray, ' steps']


def train(
    make_head: MakeHead,
    features: Shaped[Array, 'all ...'],
    heads: Sequence[HeadTraining],
    recipe: Recipe,
    memory: float = MEMORY,
    cache: float | None = None,
) -> list[TrainedHead]:
    """The heads after training, in the same order, each as its own training by `make_step` gives it.

    Heads may differ in width, number of classes, steps, batch size, cells, seed and rates: the smaller ones are filled
    up with zeros, which get no gradient and stay zeros, and with steps that change nothing. `make_head` gives the model
    of variables that were filled up and of a number of classes. As many heads as have place in `memory` bytes are
    in one program, those of like size together, and side by side as many as have place in `cache` bytes (None: in a
    CPU's cache; all on other devices). Smoothed labels are spread over the classes of a head, so heads with
    different numbers of classes need `recipe.smoothing` to be 0: ValueError else.
    """
    if recipe.smoothing and len({len(head.class_weights) for head in heads}) > 1:
        raise ValueError('with smoothing all heads need the same number of classes')
    if cache is None:
        cache = CACHE if jax.default_backend() == 'cpu' else memory
    found: dict[int, TrainedHead] = {}
    for chosen in _together(heads, memory):
        some = [heads[number] for number in chosen]
        found |= dict(zip(chosen, _trained(make_head, features, some, recipe, cache), strict=True))
    return [found[number] for number in range(len(heads))]


def _together(heads: Sequence[HeadTraining], memory: float) -> list[list[int]]:
    """The numbers of the heads that are trained together, the small ones first."""
    size = [_size(head) for head in heads]
    chunks: list[list[int]] = []
    for number in sorted(range(len(heads)), key=lambda number: size[number]):
        alike = chunks and size[number] <= max(SMALL, FILLED * size[chunks[-1][0]])
        if alike and size[number] * (len(chunks[-1]) + 1) <= memory:
            chunks[-1].append(number)
        else:
            chunks.append([number])
    return chunks


def _size(head: HeadTraining) -> int:
    """The bytes of its parameters, momentum, gradients and updates."""
    own: int = sum(leaf.nbytes for leaf in jax.tree.leaves(head.variables))
    return 4 * own


def _trained(
    make_head: MakeHead,
    features: Shaped[Array, 'all ...'],
    heads: Sequence[HeadTraining],
    recipe: Recipe,
    cache: float,
) -> list[TrainedHead]:
    filled = _filled(heads)
    alike = jax.tree.map(lambda leaf: leaf[0], filled.variables)
    model = make_head(alike, filled.class_weights.shape[1])
    even = bool((filled.batches >= 0).any(-1).all())  # no head has fewer steps
    each = partial(_train_one, model, recipe, features, even)
    most = max(1, int(cache / max(map(_size, heads))))
    side_by_side = -(-len(heads) // -(-len(heads) // most))  # in even parts: a rest is a program of its own

    def all_of_them(filled: HeadTraining, classes: Int[Array, ' heads']) -> tuple[State, Metrics]:
        if side_by_side >= len(heads):
            return jax.vmap(each)(filled, classes)
        some = side_by_side if side_by_side > 1 else None
        found: tuple[State, Metrics] = jax.lax.map(lambda one: each(*one), (filled, classes), batch_size=some)
        return found

    states, metrics = jax.jit(all_of_them)(filled, jnp.array([len(head.class_weights) for head in heads]))
    return [
        TrainedHead(
            _cut(
                jax.tree.map(lambda leaf, number=number: leaf[number], states),
                _setup(model, recipe, head),
                head.variables,
            ),
            *(np.asarray(part)[number, : len(head.batches)] for part in metrics[:3]),
        )
        for number, head in enumerate(heads)
    ]


def _train_one(
    model: Model,
    recipe: Recipe,
    features: Shaped[Array, 'all ...'],
    even: bool,
    head: HeadTraining,
    classes: Int[Array, ''],
) -> tuple[State, Metrics]:
    """The state after all steps of one head, which is as wide as the widest, and the metrics of each."""

    def apply(variables: Variables, rows: Float[Array, 'batch ...'], **options: Any) -> Float[Array, 'batch classes']:
        logits = model.apply(variables, rows, **options)
        return jnp.where(jnp.arange(logits.shape[-1]) < classes, logits, FAR_BELOW)

    setup = _setup(model._replace(apply=cast(Apply, apply)), recipe, head)
    step = make_step(setup)

    def once(state: State, chosen: Int[Array, ' batch']) -> tuple[State, Metrics]:
        after, metrics = step(state, Batch(features, head.labels, chosen))
        if even:
            return after, metrics
        is_step = (chosen >= 0).any()  # of this head, and not of one with more of them
        return jax.tree.map(lambda new, old: jnp.where(is_step, new, old), after, state), metrics

    return jax.lax.scan(once, initial_state(setup, head.variables), head.batches)


def _setup(model: Model, recipe: Recipe, head: HeadTraining) -> TrainingSetup:
    return TrainingSetup(
        model=model,
        optimizer=optimizer.with_rates(recipe.optimizer, recipe.factors, lambda step: head.rates[step]),
        prepare=lambda rows, key: rows,
        trained=recipe.factors,
        class_weights=head.class_weights,
        seed=cast(int, head.seed),
        smoothing=recipe.smoothing,
    )


def _filled(heads: Sequence[HeadTraining]) -> HeadTraining:
    """The heads as one record of arrays with a first axis for the head, all as large as the largest."""

    def stacked(arrays: Sequence[Any], fill: int = 0) -> Array:
        shape = np.max([array.shape for array in arrays], axis=0)
        whole = np.full((len(arrays), *shape), fill, np.asarray(arrays[0]).dtype)
        for place, array in zip(whole, arrays, strict=True):
            place[tuple(map(slice, array.shape))] = array
        return jnp.asarray(whole)

    return HeadTraining(
        jax.tree.map(lambda *leaves: stacked(leaves), *[head.variables for head in heads]),
        stacked([head.labels for head in heads]),
        stacked([head.batches for head in heads], -1),
        stacked([head.rates for head in heads]),
        stacked([head.class_weights for head in heads]),
        jnp.array([head.seed for head in heads]),
    )


def _cut(state: State, setup: TrainingSetup, variables: Variables) -> State:
    """The state of a head with these variables without what fills it up."""
    shapes = jax.eval_shape(partial(initial_state, setup), variables)
    found: State = jax.tree.map(lambda leaf, own: leaf[tuple(map(slice, own.shape))], state, shapes)
    return found
