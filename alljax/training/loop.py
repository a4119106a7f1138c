"""The training loop, from the first step, or the one after the last checkpoint, to the last."""

import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, Integer
from tqdm.contrib.logging import logging_redirect_tqdm

from alljax.models import Variables
from alljax.storage.checkpoints import Checkpoints
from alljax.training.batch_sources import BatchSource, DeviceCells, StepOrder
from alljax.training.gradient_watch import Look, Memory
from alljax.training.metrics_log import Rows
from alljax.training.progress import Best, Facts, Progress, save
from alljax.training.reporter import Reporter
from alljax.training.save_times import SaveTimes
from alljax.training.step import State, Step

Validate = Callable[[Variables], tuple[float, float]]  # to mean cross-entropy in nats, and accuracy


class Steps(NamedTuple):
    """The training step, and the one in its place where the gradients are measured too; None for never."""

    plain: Step
    monitored: Step | None = None
    look: Look | None = None  # after each monitored step
    epoch: Step | None = None  # of `make_epoch`, for cells on an accelerator


class Schedule(NamedTuple):
    """The cells to train on, in batches of what size, and for how long."""

    train: Integer[np.ndarray, ' chosen']  # indices
    batch_size: int
    epochs: int
    patience: int  # epochs without a better validation loss; 0 for no early stopping
    seed: int
    save_seconds: float  # from one checkpoint to the next
    gradients_every: int = 0  # steps from one measurement of the gradients to the next; 0 for none
    chances: Float[np.ndarray, ' chosen'] | None = None  # of each cell of `train` to be drawn; None for each once

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches; the last one may be smaller."""
        return -(-len(self.train) // self.batch_size)


class Files(NamedTuple):
    """The files that training writes."""

    metrics: Rows
    checkpoints: Checkpoints
    facts: Facts  # kept beside each checkpoint


def fit(
    steps: Steps, progress: Progress, cells: BatchSource, schedule: Schedule, validate: Validate | None, files: Files
) -> Progress:
    """Trains to the end of the schedule, saving on the way, and returns the progress there.

    UserError when the loss is no longer finite; the last good checkpoint is kept then.
    """
    state, best, before = progress
    start, saves = time.monotonic(), SaveTimes(schedule.save_seconds, int(state.step))
    reporter = Reporter(files.metrics, schedule.epochs, schedule.steps_per_epoch, int(state.step))
    memory: Memory | None = None
    length = schedule.steps_per_epoch
    order = StepOrder(partial(batches, schedule), length, int(state.step), schedule.epochs * length)

    def now() -> Progress:
        return Progress(state, best, before + time.monotonic() - start)

    try:
        # a line of the log goes above the bar
        with logging_redirect_tqdm(), closing(cells.batches(order)) as fed:
            while not finished(done := int(state.step), best, schedule):
                epoch, skipped = divmod(done, length)
                last = (epoch + 1) * length - 1
                held = cells if isinstance(cells, DeviceCells) and steps.epoch else None
                for number in [last] if held else range(done, last + 1):
                    if held and steps.epoch:
                        state, metrics = steps.epoch(state, held.batch(batches(schedule, epoch)[skipped:]))
                    else:
                        state, metrics = _step(steps, schedule, number)(state, next(fed))
                    reporter.step_started(metrics)
                    if steps.look and metrics.gradient is not None:
                        reporter.fetch()
                        numbers, memory = steps.look(state, metrics.gradient, epoch, memory)
                        reporter.looked(number + 1, numbers)
                    if validate and (number + 1) % length == 0:
                        reporter.fetch()
                        best = _validated(validate, state, best, epoch + 1, reporter)
                    if saves.due(number + 1):
                        reporter.fetch()
                        save(files.checkpoints, now(), files.facts)
                reporter.epoch_ended(epoch + 1)
            save(files.checkpoints, now(), files.facts)
            files.checkpoints.wait()
    finally:
        reporter.close()
    return now()


def batches(schedule: Schedule, epoch: int) -> Int[np.ndarray, 'batches batch_size']:
    """The cells of each step of an epoch, padded with -1: a function of (seed, epoch) only.

    Each cell once in random order, or as many draws by `chances`, with repeats.
    """
    rng, train = np.random.default_rng([schedule.seed, 2, epoch]), schedule.train
    chances = schedule.chances
    drawn = rng.permutation(train) if chances is None else rng.choice(train, len(train), p=chances)
    padded = np.full(schedule.steps_per_epoch * schedule.batch_size, -1, np.int32)
    padded[: len(drawn)] = drawn
    return padded.reshape(schedule.steps_per_epoch, schedule.batch_size)


def finished(step: int, best: Best | None, schedule: Schedule) -> bool:
    """True at the last epoch, or after `patience` epochs that were no better."""
    epoch, within = divmod(step, schedule.steps_per_epoch)
    stale = bool(schedule.patience and best and not within and epoch - best.epoch >= schedule.patience)
    return stale or epoch >= schedule.epochs


def _step(steps: Steps, schedule: Schedule, number: int) -> Step:
    """The one to do as step `number`, counted from 0."""
    if steps.monitored and schedule.gradients_every and number % schedule.gradients_every == 0:
        return steps.monitored
    return steps.plain


def _validated(validate: Validate, state: State, best: Best | None, epoch: int, reporter: Reporter) -> Best | None:
    """The best variables after a validation."""
    loss, accuracy = validate(state.evaluation_variables)
    reporter.validated(int(state.step), epoch, loss, accuracy)
    if best and not loss < best.loss:
        return best
    # copies, for the next step overwrites the state's arrays
    return Best(jax.tree.map(jnp.copy, state.evaluation_variables), loss, epoch)
