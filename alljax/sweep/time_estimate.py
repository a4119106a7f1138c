"""The runs of a sweep and about how long they take, by the stored speed of this machine.

A kind of run whose speed is not known is timed: two steps of a network, some pictures of a classical system.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import joblib
import numpy as np
from ml_collections import ConfigDict

from alljax import config as fields
from alljax.baselines import extraction
from alljax.baselines.features import NETWORK
from alljax.baselines.systems import System
from alljax.config.plan import Plan
from alljax.data.audited_groups import AUDIT
from alljax.data.cells import Cells
from alljax.evaluation import formatting
from alljax.runs import network, speeds
from alljax.runs.speeds import Speed
from alljax.storage import progress_bar, speed_record
from alljax.storage.run_folder import is_finished
from alljax.sweep import left_open
from alljax.sweep.execution import PreparedRun
from alljax.sweep.work import GUESS, OVERHEAD, Work, guess
from alljax.training import inference, inputs, learning_rate_factors, optimizer
from alljax.training.inputs import Inputs, NetworkInTraining
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step

log = logging.getLogger(__name__)
TIMED_IMAGES = 6  # pictures on which a classical system is timed, in one process


def works(runs: Sequence[PreparedRun], *, timed: bool = False) -> dict[str, Work]:
    """The work of each run, by its folder. With `timed`, kinds whose speed is not known are timed, and it is kept."""
    found: dict[str, Work] = {}
    computed: dict[str, set[str]] = {}
    record = speed_record.read()
    for ready in runs:
        fits, models = _models(ready)
        parts = [_work(one, record, computed, timed=timed) for one in models]
        speed, kind = parts[0].speed, parts[0].kind
        if ready.plan.candidates:  # as one long run
            spent = [fits * one.steps * one.speed.step + one.pictures * one.speed.picture for one in parts]
            speed, kind = Speed(0.0, 0.0, sum(spent) + OVERHEAD), 'ensemble'
        steps, pictures = (fits * sum(part.steps for part in parts)), sum(part.pictures for part in parts)
        found[ready.run.folder] = Work(_name(ready, runs), kind, steps, pictures, speed)
    return found


def _name(ready: PreparedRun, runs: Sequence[PreparedRun]) -> str:
    """The name of a run among others: that of its fold, where they differ in nothing else."""
    run = ready.run
    if len({(one.run.variant.name, one.run.protocol) for one in runs}) > 1 or len(runs) == 1:
        return str(run)
    if run.final:
        return 'final model'
    repetition = f'repetition {run.repeat + 1}, ' if any(one.run.repeat for one in runs) else ''
    return f'{repetition}fold {run.fold + 1} of {1 + max(one.run.fold for one in runs)}'


def rough(config: ConfigDict, config_file: str = '') -> float:
    """Seconds of all runs of a config before anything of it was read, by the number of files in its folder."""
    data, split = fields.data_options(config), config.split
    if known := speed_record.whole(config_file, data.root):
        return known
    files = speed_record.files_below(data.root) if data.root else data.cells
    audit = speed_record.read().get(AUDIT, {}).get('picture', 0.06) * files if data.groups == 'audit' else 0.0
    runs = max(split.folds, left_open.MOST_FOLDS if split.folds == 0 else 1) * split.repeats
    return audit + 0.01 * files + files * GUESS.picture + 2 * OVERHEAD * runs


def describe(runs: Sequence[PreparedRun], folder: Path | None) -> str:
    """A line a run and the sum, in words for the terminal."""
    lines, total = [], 0.0
    known = works([one for one in runs if not (folder and is_finished(folder / one.run.folder))], timed=True)
    for ready in runs:
        work = known.get(ready.run.folder)
        if work:
            total += work.seconds
            state = f'about {formatting.value(work.seconds, "seconds")}'
        else:
            state = 'finished, kept'
        steps = work.steps if work else sum(_models(ready)[0] * _steps(one) for one in _models(ready)[1])
        lines.append(
            (
                str(ready.run),
                f'{network.training_words(ready.plan, ready.cells, ready.parts, len(ready.sources))}, train',
                f'{len(ready.parts.test)} are tested',
                f'{steps} steps' if steps else 'no steps',
                state,
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = '\n'.join('  '.join(part.ljust(width) for part, width in zip(line, widths, strict=True)) for line in lines)
    return (
        f'{text}\n{len(lines)} runs, about {formatting.value(total, "seconds")} one after the other on this machine '
        '(at most: runs stop early with stop.patience, and find features in the cache)'
    )


def _work(ready: PreparedRun, record: speed_record.Speeds, computed: dict[str, set[str]], *, timed: bool) -> Work:
    """The work of one model, without the pictures whose features another one before it computes."""
    kind = speeds.kind(ready.plan)
    speed = speeds.known(ready.plan, record)
    if speed is None and timed:
        log.info('timing %s of %s', 'some cells' if ready.plan.system else 'two steps', ready.run)
        with progress_bar.shown('timing'):
            measured = _timed(ready)
        speed = measured._replace(run=record.get(kind, {}).get('run', OVERHEAD))
        record[kind] = speed._asdict()
        speed_record.add(kind, record[kind])
    before = computed.setdefault(f'{kind} {_prepared(ready)}', set())
    names = {*ready.cells.names} - before
    before |= names
    return Work('', kind, _steps(ready), len(names), speed or guess(ready.plan))


def _prepared(ready: PreparedRun) -> str:
    """The preparation of the pictures: runs share no features with another one, or with a target of their own."""
    how = ready.plan.preparation
    return f'{how} {ready.run.folder}' if how.stain in ('macenko', 'reinhard') else str(how)


def _timed(ready: PreparedRun) -> Speed:
    if ready.plan.system:
        return Speed(0.0, _seconds_of_system(ready, ready.plan.system.parts), OVERHEAD)
    return Speed(*_seconds(ready), OVERHEAD)


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
    cells = replace(cells, images=cells.images[:])  # in memory, of however many cells
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
        state[0], metrics = step(state[0], Batch(jnp.asarray(fed.images), jnp.asarray(cells.labels), chosen))
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
