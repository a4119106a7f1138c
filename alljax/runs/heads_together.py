"""The heads of several runs on frozen features, trained in one program before the runs are done.

Each run gets what its own training would have left, a last checkpoint and its metrics; done as any run, it finds that
nothing is left to train, and goes on to its model, test and report.
"""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from alljax.config.fields import later_fields
from alljax.config.plan import Plan
from alljax.errors import UserError
from alljax.models import Model, NetworkSpec, Variables
from alljax.runs import (
    data_check,
    experiment,
    network,
    network_options,
    network_results,
    run_cells,
    training_start,
)
from alljax.storage import cache, run_folder
from alljax.storage.checkpoints import Checkpoints, need_space
from alljax.training import loop, many_heads, optimizer
from alljax.training.inputs import NetworkInTraining, body_and_head
from alljax.training.many_heads import HeadTraining, MakeHead, Recipe, TrainedHead
from alljax.training.metrics_log import MetricsLog
from alljax.training.precision import PRECISIONS
from alljax.training.progress import Facts, Progress, save

log = logging.getLogger(__name__)


class Begun(NamedTuple):
    """A run up to its first step."""

    folder: Path
    plan: Plan
    facts: Facts  # of its checkpoint
    schedule: loop.Schedule
    recipe: Recipe
    features: Float[np.ndarray, 'cells ...']
    head: HeadTraining  # whose batches are of its own features

    @property
    def kind(self) -> str:
        """The same for runs that can be trained together."""
        spec = self.plan.network
        own = self.recipe.optimizer._replace(rate=0.0, schedule='constant', warmup=0.0)
        act, smoothing = spec.options.get('act'), self.recipe.smoothing
        classes = len(self.head.class_weights) if smoothing else 0
        return repr(
            (spec.name, act, own, sorted(self.recipe.factors.items()), smoothing, classes, self.features.shape[1:])
        )


def is_possible(plan: Plan) -> bool:
    """True for a run whose training is nothing but steps of a new hidden layer and the logits on frozen features."""
    how = plan.training
    alone = (
        plan.system or plan.candidates or plan.external.root or plan.augmentation.at_each_step or how.gradients_every
    )
    plain = how.layer_decay == 1 and not (how.average_decay or how.mixup) and how.group_rate is None
    plain = plain and how.precision == PRECISIONS[0]
    return bool(how.freeze and plain and how.statistics == 'running' and _width(plan.network) and not alone)


def train(runs: Sequence[tuple[Plan, Path]]) -> int:
    """Trains together what can be, among runs that have not begun; the number of runs whose training is done.

    A run that has validation cells, learns more than its head, or whose loss does not stay finite is left as it is: it
    is trained alone, which then says what is wrong.
    """
    cache.keep_compiled_programs()
    kinds: dict[str, list[Begun]] = {}
    for plan, folder in runs:
        if is_possible(plan) and not run_folder.is_finished(folder) and not (folder / 'checkpoints').exists():
            try:
                begun = _begun(plan, folder)
            except UserError:  # which the run says itself
                continue
            if begun:
                kinds.setdefault(begun.kind, []).append(begun)
    done = 0
    for some in kinds.values():
        if len(some) > 1:
            done += _train_kind(some)
    return done


def _begun(plan: Plan, folder: Path) -> Begun | None:
    """A run up to its first step, as `experiment.run` and `network.fit` come to it; None if it has to train alone."""
    with run_folder.opened(folder, dict(plan.fields), later_fields()):
        plan, found = experiment.prepared(plan, run_cells.load(plan))
        cells, parts = found.cells, found.parts
        model, variables, _, factors = training_start.of_plan(plan, cells, parts)
        halves = body_and_head(NetworkInTraining(plan.network, len(cells.classes), model, factors))
        if halves is None or len(parts.validation):
            return None
        fed = network.inputs_of(plan, model, variables, cells, factors)
    schedule = network.schedule_of(plan, cells, parts)
    steps = schedule.epochs * schedule.steps_per_epoch
    head = HeadTraining(
        variables=fed.variables,
        labels=jnp.asarray(cells.labels),
        batches=jnp.concatenate([jnp.asarray(loop.batches(schedule, epoch)) for epoch in range(schedule.epochs)]),
        rates=jnp.asarray(optimizer.rates(plan.training.optimizer, steps, schedule.steps_per_epoch)),
        class_weights=network_options.loss_weights(plan, cells, parts),
        seed=plan.seed,
    )
    recipe = Recipe(plan.training.optimizer, factors, plan.training.smoothing)
    return Begun(folder, plan, data_check.facts(plan, cells), schedule, recipe, np.asarray(fed.images), head)


def _train_kind(runs: Sequence[Begun]) -> int:
    began = time.monotonic()
    features, places = _union([run.features for run in runs])
    heads = [_on_union(run.head, place, len(features)) for run, place in zip(runs, places, strict=True)]
    log.info('training the heads of %d runs together', len(runs))
    trained = many_heads.train(_maker(runs[0].plan.network), jnp.asarray(features), heads, runs[0].recipe)
    seconds = (time.monotonic() - began) / len(runs)
    good = [bool(np.isfinite(one.losses).all()) for one in trained]
    for run, one, finite in zip(runs, trained, good, strict=True):
        if finite:
            _keep(run, one, seconds, len(runs))
    return sum(good)


def _union(
    tables: Sequence[Float[np.ndarray, '_ ...']],
) -> tuple[Float[np.ndarray, 'all ...'], list[Int[np.ndarray, ' _']]]:
    """All different rows of several tables, and the place among them of each row of each table.

    Equal rows of one table have places of their own: their labels may differ.
    """
    numbers: dict[tuple[bytes, int], int] = {}
    rows: list[Float[np.ndarray, ' ...']] = []
    places = []
    for table in tables:
        place, times = np.empty(len(table), np.int32), Counter[bytes]()
        for row, values in enumerate(table):
            content = values.tobytes()
            times[content] += 1
            key = content, times[content]
            if key not in numbers:
                numbers[key] = len(rows)
                rows.append(values)
            place[row] = numbers[key]
        places.append(place)
    return np.stack(rows), places


def _on_union(head: HeadTraining, place: Int[np.ndarray, ' cells'], count: int) -> HeadTraining:
    """The head with the labels of the rows of the union, and with batches of these."""
    labels = np.zeros(count, np.int32)
    labels[place] = np.asarray(head.labels)
    batches = np.asarray(head.batches)
    return head._replace(labels=jnp.asarray(labels), batches=jnp.asarray(np.where(batches < 0, -1, place[batches])))


def _keep(run: Begun, trained: TrainedHead, seconds: float, together: int) -> None:
    """Writes the metrics and the last checkpoint of a run, as its own training does."""
    steps = np.arange(1, len(trained.losses) + 1)
    speed = float(trained.cells.sum() / max(seconds, 1e-9))
    with run_folder.opened(run.folder, dict(run.plan.fields), later_fields()), ExitStack() as stack:
        need_space(trained.state, run.folder)
        checkpoints, metrics = Checkpoints(run.folder / 'checkpoints'), MetricsLog(run.folder, 0)
        stack.callback(checkpoints.close)
        stack.callback(metrics.close)
        for step, loss, correct, cells in zip(steps, trained.losses, trained.correct, trained.cells, strict=True):
            epoch = float(step / run.schedule.steps_per_epoch)
            row: dict[str, Any] = {'step': int(step), 'epoch': epoch, 'loss': float(loss)}
            metrics.write({**row, 'accuracy': float(correct / cells), 'images_per_second': speed})
        save(checkpoints, Progress(trained.state, None, seconds), {**run.facts, network_results.TOGETHER: together})
        checkpoints.wait()


def _maker(spec: NetworkSpec) -> MakeHead:
    """The function that gives the head of a network for variables of any width."""

    def make(variables: Variables, classes: int) -> Model:
        width = variables['params']['head']['hidden']['bias'].shape[0]
        halves = spec._replace(options={**spec.options, 'head': width}).cut(classes)
        assert halves is not None  # the runs have been cut
        return halves[1]

    return make


def _width(spec: NetworkSpec) -> int:
    """The units of the new hidden layer; 0 for a network with its own last layers."""
    return int(spec.options.get('head', 1024))
