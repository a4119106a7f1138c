"""What a sweep would do and about how long it would take: two steps of each kind of run are done for that."""

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

from alljax import config as fields
from alljax import models
from alljax.baselines import extraction
from alljax.baselines.features import NETWORK
from alljax.data.cells import Cells
from alljax.evaluation import formatting
from alljax.runs import classical_system, experiment
from alljax.storage.run_folder import is_finished
from alljax.sweep.execution import Ready
from alljax.training import inference, optimizer
from alljax.training.inputs import Feed, cut, network_options, of_head, of_pictures, turns
from alljax.training.step import Batch, init, make_step

log = logging.getLogger(__name__)
TRIED = 6  # pictures on which a classical system is timed, in one process
AROUND = 10.0  # seconds of a run besides its steps, on two cores: reading, drawing copies, compiling, report
TIMED = ('model', 'baseline', 'optimizer', 'augment', 'batch_size', 'data.task', 'data.color', 'data.size')


def describe(runs: Sequence[Ready], folder: Path | None) -> str:
    """A line a run and the sum, in words for the terminal."""
    lines, total, known = [], 0.0, {}
    for ready in runs:
        system = ready.setting.config.baseline.system
        plan = experiment.make_plan(ready.setting.config, ready.cells, ready.parts)
        steps = 0 if system else plan.epochs * plan.batches
        if folder and is_finished(folder / ready.run.folder):
            state = 'finished, kept'
        else:
            kind = _kind(ready)
            if kind not in known:
                log.info('timing %s of %s', 'some cells' if system else 'two steps', ready.run)
                known[kind] = (0.0, _seconds_of_system(ready)) if system else _seconds(ready)
            a_step, a_picture = known[kind]
            seconds = AROUND + steps * a_step + len(ready.cells) * a_picture
            total += seconds
            state = f'about {formatting.value(seconds, "seconds")}'
        lines.append(
            (
                str(ready.run),
                f'{len(plan.train)} train',
                f'{len(ready.parts.test)} test',
                'no steps' if system else f'{steps} steps',
                state,
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = '\n'.join('  '.join(part.ljust(width) for part, width in zip(line, widths, strict=True)) for line in lines)
    return (
        f'{text}\n{len(lines)} runs, about {formatting.value(total, "seconds")} one after the other on this machine '
        '(at most: runs stop early with stop.patience, and share features of frozen layers)'
    )


def _kind(ready: Ready) -> str:
    every = fields.flat(ready.setting.config)
    return json.dumps([(name, value) for name, value in every.items() if name.startswith(TIMED)])


def _seconds_of_system(ready: Ready) -> float:
    """Seconds a picture of a classical system, on all cores."""
    config, system = ready.setting.config, classical_system.system_of(ready.setting.config)
    images = ready.sources.images[:TRIED]
    model = models.create(config.model.name, 0, **network_options(config)) if NETWORK in system.features else None
    found = extraction.rows(system, images)
    a_picture = (found.segmentation + found.features) / joblib.cpu_count()
    if model:
        batch = jnp.asarray(images[: config.batch_size])
        a_picture += inference.seconds_a_cell(inference.make_logits(model), model.init(jax.random.key(0)), batch)
    return a_picture


def _seconds(ready: Ready) -> tuple[float, float]:
    """Seconds a step, and seconds a picture before the first step."""
    config, size = ready.setting.config, ready.setting.config.batch_size
    cells = ready.sources.take(np.arange(min(size, len(ready.sources))))
    model = experiment.create(config, cells)
    variables = model.init(jax.random.key(0))
    rates = experiment.factors(config, variables)
    halves = cut(config, cells, rates)
    if not halves or turns(config):
        return _of_step(ready, of_pictures(config, model, cells, variables), rates, cells), 0.0
    body, head = halves
    features, images = inference.make_logits(body), jnp.asarray(cells.images)
    rows = features(variables, images)
    a_picture = _median(lambda: features(variables, images)) / len(cells)
    return _of_step(ready, of_head(head, rows, variables), rates, cells), a_picture


def _of_step(ready: Ready, fed: Feed, rates: dict[str, float], cells: Cells) -> float:
    config = ready.setting.config
    update = optimizer.make(config.optimizer, rates, 10, 10)
    step = make_step(fed.model, update, fed.prepare, rates, jnp.ones(len(cells.classes)), config.seed)
    chosen = jnp.resize(jnp.arange(len(cells)), config.batch_size)
    state = [init(fed.variables, update, rates)]

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
