"""A run of a detector on whole fields: functions of the names that all kinds have, from load to score."""

from collections.abc import Callable, Collection, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from alljax.config import resolve
from alljax.config.detector_fields import DetectorPlan
from alljax.fields import detection_score, detector, tiles
from alljax.fields.detection_score import ComparedField
from alljax.fields.detector import FROZEN, LEARNED, Detector
from alljax.fields.detector_network import Head, init_trunk, trunk
from alljax.fields.white_cells import Found
from alljax.models import NetworkSpec, Variables
from alljax.runs import detector_windows
from alljax.runs.detector_windows import LearnedField
from alljax.storage import model_folder, progress_bar
from alljax.storage.card import Card, DetectorFacts

__all__ = ['Learned', 'features_of', 'fit', 'frozen', 'load', 'predict', 'score']

WINDOWS = 8  # that go through the frozen layers at once
MOST = 4000  # windows that are learned from: of more, so many are drawn
LEAST = 0.05  # chance of a middle below which nothing is a cell, whatever the threshold
WEIGHT_DECAY, CLIP = 1e-3, 1.0
SIDES = 1.0  # weight of the sides' loss beside that of the middles

load = detector.load


class Learned(NamedTuple):
    """The windows of all fields, as the head sees them."""

    features: Float[np.ndarray, 'windows rows columns channels']
    heat: Float[np.ndarray, 'windows rows columns 5']
    sides: Float[np.ndarray, 'windows rows columns']
    seen: Float[np.ndarray, 'windows rows columns']
    field: Int[np.ndarray, ' windows']  # the place of the field of each


def frozen(plan: DetectorPlan) -> tuple[Variables, Card]:
    """The variables of the frozen network of a plan, and its card; UserError if they cannot be had."""
    start = resolve.find_start(plan.network, plan.init, demo=False)
    if start.source is None:
        return init_trunk(plan.network, jax.random.key(plan.seed)), Card(())
    folder = model_folder.find(start.source)
    variables = dict(model_folder.read_variables(folder))
    variables['params'] = {name: value for name, value in variables['params'].items() if name != 'head'}
    return variables, model_folder.read_card(folder)


def features_of(plan: DetectorPlan, fields: Sequence[LearnedField], variables: Variables) -> Learned:
    """The windows of `plan.views` views of each field, and what the frozen layers say of them."""
    generator = np.random.default_rng([plan.seed, 1])
    windows, places = [], []
    for place, field in progress_bar.each(enumerate(fields), 'cutting windows', len(fields), ' fields'):
        for _ in range(plan.views):
            found = [*detector_windows.of_view(field, generator, plan.gray)]
            windows += found
            places += [place] * len(found)
    if len(windows) > MOST:
        drawn = np.sort(generator.choice(len(windows), MOST, replace=False)).tolist()
        windows, places = [windows[at] for at in drawn], [places[at] for at in drawn]
    layers, features = trunk(plan.network), []
    starts = range(0, len(windows), WINDOWS)
    for start in progress_bar.each(starts, 'frozen layers', len(starts), ' batches'):
        pixels = np.stack([window.pixels for window in windows[start : start + WINDOWS]])
        filled = np.concatenate([pixels, np.zeros((WINDOWS - len(pixels), *pixels.shape[1:]), np.uint8)])
        said = layers.features(variables, jnp.asarray(filled))[: len(pixels)]
        features.append(np.asarray(said).astype(np.float16))
    heat, sides, seen = (np.stack([getattr(one, name) for one in windows]) for name in ('heat', 'sides', 'seen'))
    return Learned(np.concatenate(features), heat, sides, seen, np.array(places))


def fit(plan: DetectorPlan, learned: Learned, fields: Collection[int]) -> Variables:
    """The head that learned from the windows of some fields, by their places."""
    chosen = np.flatnonzero(np.isin(learned.field, [*fields]))
    generator, head = np.random.default_rng([plan.seed, 2]), Head(plan.width)
    first = jnp.zeros((1, *learned.features.shape[1:]))
    params = head.init(jax.random.key(plan.seed), first)['params']
    optimizer, step = _learning(plan.width, plan.rate, plan.steps)
    state = optimizer.init(params)
    for _ in progress_bar.each(range(plan.steps), 'training the head', plan.steps, ' steps'):
        batch = generator.choice(chosen, plan.batch_size)
        params, state, _ = step(params, state, *(jnp.asarray(part[batch], jnp.float32) for part in learned[:4]))
    return dict(params)


def loss(
    said: Float[Array, 'batch rows columns 5'],
    heat: Float[Array, 'batch rows columns 5'],
    sides: Float[Array, 'batch rows columns'],
    seen: Float[Array, 'batch rows columns'],
) -> Float[Array, '']:
    """The focal loss of middles a cell [Law and Deng 2018, formula 1], and the mean error of sides, in diameters."""
    logit, truth = said[..., 0], heat[..., 0]
    chance = jax.nn.sigmoid(logit)
    middle = (truth == 1).astype(jnp.float32)
    hit = middle * (1 - chance) ** 2 * jax.nn.log_sigmoid(logit)
    miss = (1 - middle) * (1 - truth) ** 4 * chance**2 * jax.nn.log_sigmoid(-logit)
    focal = -(seen * (hit + miss)).sum() / jnp.maximum((seen * middle).sum(), 1)
    away = jnp.abs(said[..., 1:] - heat[..., 1:]).mean(-1)
    weight = seen * sides * truth
    return focal + SIDES * (weight * away).sum() / jnp.maximum(weight.sum(), 1)


@lru_cache(maxsize=4)  # the same function for each fold, or it is compiled again
def _learning(width: int, rate: float, steps: int) -> tuple[optax.GradientTransformation, Callable[..., Any]]:
    """The optimizer, and the jitted step of a head."""
    optimizer = optax.chain(
        optax.clip_by_global_norm(CLIP),
        optax.adamw(optax.cosine_decay_schedule(rate, steps), weight_decay=WEIGHT_DECAY),
    )
    return optimizer, jax.jit(partial(_step, Head(width), optimizer), donate_argnums=(0, 1))


def _step(
    head: Head, optimizer: optax.GradientTransformation, params: Variables, state: optax.OptState, *batch: Array
) -> tuple[Variables, optax.OptState, Float[Array, '']]:
    features, *truth = batch
    value, gradient = jax.value_and_grad(lambda p: loss(cast(Array, head.apply({'params': p}, features)), *truth))(
        params
    )
    updates, state = optimizer.update(gradient, state, params)
    return optax.apply_updates(params, updates), state, value


def detector_of(plan: DetectorPlan, variables: Variables, head: Variables, card: Card, threshold: float) -> Detector:
    """A detector of a frozen network and a head."""
    card = Card(
        ('white cell',),
        network=NetworkSpec(plan.network, {}),
        input=NetworkSpec(plan.network, {}).create(0).input,
        seed=plan.seed,
        weights=card.weights,
        trained_on=card.trained_on,
        detector=DetectorFacts(threshold, plan.width),
    )
    return Detector({FROZEN: variables, LEARNED: head}, card, threshold, plan.width)


def predict(trained: Detector, field: LearnedField, threshold: float | None = None) -> Found:
    """The white cells of a field, as `alljax smear` finds them."""
    return tiles.find_in(field.image, field.look, detector.finder(trained, threshold)).found


def score(found: Sequence[Found], fields: Sequence[LearnedField]) -> list[ComparedField]:
    """The found cells of each field against its marked ones."""
    return [
        detection_score.compared(one, field.marks, field.look.scale.cell_pixels, field.group)
        for one, field in zip(found, fields, strict=True)
    ]


def save(trained: Detector, folder: Path) -> None:
    """Writes the model folder."""
    model_folder.write(folder, trained.variables, trained.card)
