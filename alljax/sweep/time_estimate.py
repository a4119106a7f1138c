"""The runs of a sweep and about how long they would take: two steps of each kind of run are timed for that."""

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import joblib
import numpy as np

from alljax.baselines import extraction
from alljax.baselines.features import NETWORK
from alljax.baselines.systems import System
from alljax.config.plan import Plan
from alljax.data.cells import Cells
from alljax.evaluation import formatting
from alljax.runs import network
from alljax.storage.run_folder import is_finished
from alljax.sweep.execution import PreparedRun
from alljax.training import inference, inputs, learning_rate_factors, optimizer
from alljax.training.inputs import Inputs, NetworkInTraining
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step

log = logging.getLogger(__name__)
TIMED_IMAGES = 6  # pictures on which a classical system is timed, in one process
OVERHEAD = 10.0  # seconds of a run besides its steps, on two cores: reading, drawing copies, compiling, report
TIMED_FIELDS = ('model', 'baseline', 'optimizer', 'augment', 'batch_size', 'data.task', 'data.color', 'data.size')


def describe(runs: Sequence[PreparedRun], folder: Path | None) -> str:
    """A line a run and the sum, in words for the terminal."""
    lines, total, known = [], 0.0, {}
    for ready in runs:
        schedule = network.schedule_of(ready.plan, ready.cells, ready.parts)
        fits, models = _models(ready)
        steps = sum(fits * _steps(one) for one in models)
        if folder and is_finished(folder / ready.run.folder):
            state = 'finished, kept'
        else:
            seconds = OVERHEAD
            for one in models:
                kind, system = _kind(one), one.plan.system
                if kind not in known:
                    log.info('timing %s of %s', 'some cells' if system else 'two steps', ready.run)
                    known[kind] = (0.0, _seconds_of_system(one, system.parts)) if system else _seconds(one)
                a_step, a_picture = known[kind]
                seconds += fits * _steps(one) * a_step + len(one.cells) * a_picture
            total += seconds
            state = f'about {formatting.value(seconds, "seconds")}'
        lines.append(
            (
                str(ready.run),
                f'{len(schedule.train)} train',
                f'{len(ready.parts.test)} test',
                f'{steps} steps' if steps else 'no steps',
                state,
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = '\n'.join('  '.join(part.ljust(width) for part, width in zip(line, widths, strict=True)) for line in lines)
    return (
        f'{text}\n{len(lines)} runs, about {formatting.value(total, "seconds")} one after the other on this machine '
        '(at most: runs stop early with stop.patience, and share features of frozen layers)'
    )


def _models(ready: PreparedRun) -> tuple[int, list[PreparedRun]]:
    """The times that each model of a run trains on the training side, and the models: of an ensemble its candidates.

    Each fold of k trains on all but 1/k of it, and what is chosen once more on the whole: k times, if all are.
    """
    if not ready.plan.candidates:
        return 1, [ready]
    return ready.plan.ensemble.folds, [ready._replace(plan=one.plan) for one in ready.plan.candidates]


def _steps(ready: PreparedRun) -> int:
    schedule = network.schedule_of(ready.plan, ready.cells, ready.parts)
    return 0 if ready.plan.system else schedule.epochs * schedule.steps_per_epoch


def _kind(ready: PreparedRun) -> str:
    every = ready.plan.fields.items()
    return json.dumps([(name, value) for name, value in every if name.startswith(TIMED_FIELDS)])


def _seconds_of_system(ready: PreparedRun, system: System) -> float:
    """Seconds a picture of a classical system, on all cores."""
    images = ready.sources.images[:TIMED_IMAGES]
    specs = [one.network for one in ready.plan.measuring] or [ready.plan.network]
    found = extraction.rows(system, images)
    a_picture = (found.segmentation + found.features) / joblib.cpu_count()
    for model in [spec.create(0) for spec in specs] if NETWORK in system.features else ():
        batch = jnp.asarray(images[: ready.plan.batch_size])
        a_picture += inference.seconds_a_cell(inference.make_logits(model), model.init(jax.random.key(0)), batch)
    return a_picture


def _seconds(ready: PreparedRun) -> tuple[float, float]:
    """Seconds a step, and seconds a picture before the first step."""
    plan = ready.plan
    cells = ready.sources.take(np.arange(min(plan.batch_size, len(ready.sources))))
    model = plan.network.create(len(cells.classes))
    variables = model.init(jax.random.key(0))
    factors = learning_rate_factors.trained(variables['params'], plan.training.factors, plan.training.freeze)
    halves = inputs.body_and_head(NetworkInTraining(plan.network, len(cells.classes), model, factors))
    if not halves or plan.augmentation.at_each_step:
        fed = inputs.image_inputs(model, variables, cells.images, plan.augmentation)
        return _of_step(plan, fed, factors, cells), 0.0
    body, head = halves
    features, images = inference.make_logits(body), jnp.asarray(cells.images)
    rows = features(variables, images)
    a_picture = _median(lambda: features(variables, images)) / len(cells)
    return _of_step(plan, inputs.feature_inputs(head, rows, variables), factors, cells), a_picture


def _of_step(plan: Plan, fed: Inputs, factors: dict[str, float], cells: Cells) -> float:
    update = optimizer.make(plan.training.optimizer, factors, 10, 10)
    setup = TrainingSetup(fed.model, update, fed.prepare, factors, jnp.ones(len(cells.classes)), plan.seed)
    step = make_step(setup)
    chosen = jnp.arange(len(cells))  # of the batch's size, or all there are
    state = [initial_state(setup, fed.variables)]

    def once() -> Any:
        state[0], metrics = step(state[0], Batch(fed.images, jnp.asarray(cells.labels), chosen))
        return metrics

    return _median(once)


def _median(work: Callable[[], Any], times: int = 2) -> float:
    """Seconds of `work`, after it was done once."""
    jax.block_until_ready(work())
    found = []
    for _ in range(times):
        start = time.monotonic()
        jax.block_until_ready(work())
        found.append(time.monotonic() - start)
    return float(np.median(found))
