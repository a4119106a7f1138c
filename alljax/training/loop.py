"""From the first step, or the one after the last checkpoint, to the last."""

import logging
import math
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Integer, Shaped
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from alljax.errors import UserError
from alljax.models import Variables
from alljax.storage.checkpoints import Checkpoints
from alljax.training.metrics_log import Records
from alljax.training.step import Batch, Metrics, State, Step

log = logging.getLogger(__name__)


class Best(NamedTuple):
    """The variables with the lowest validation loss so far, and the epoch after which they were."""

    variables: Variables
    loss: float
    epoch: int


class Course(NamedTuple):
    """Where training is: what a checkpoint holds."""

    state: State
    best: Best | None
    seconds: float  # of training so far, over all processes


class Plan(NamedTuple):
    """What training is to do."""

    train: Integer[np.ndarray, ' chosen']
    batch_size: int
    epochs: int
    patience: int  # epochs; 0 means no early stopping
    seed: int
    save_seconds: float
    look: int = 0  # steps from one look at the gradients to the next; 0 for none

    @property
    def batches(self) -> int:
        """Steps in one epoch; the last batch may be smaller."""
        return -(-len(self.train) // self.batch_size)


Validate = Callable[[Variables], tuple[float, float]]  # mean cross-entropy in nats, accuracy


def order(plan: Plan, epoch: int) -> Int[np.ndarray, 'batches batch_size']:
    """The cells of each step of an epoch, padded with -1: a function of (seed, epoch) only."""
    shuffled = np.random.default_rng([plan.seed, 2, epoch]).permutation(plan.train)
    padded = np.full(plan.batches * plan.batch_size, -1, np.int32)
    padded[: len(shuffled)] = shuffled
    return padded.reshape(plan.batches, plan.batch_size)


def fit(
    step: Step,
    course: Course,
    images: Shaped[Array, 'all ...'],
    labels: Int[Array, ' all'],
    plan: Plan,
    validate: Validate | None,
    records: Records,
    checkpoints: Checkpoints,
    facts: dict[str, Any],
) -> Course:
    """Trains to the end of the plan, saving on the way, and returns where it ended.

    UserError when the loss is no longer finite; the last good checkpoint is kept then.
    """
    state, best, before = course
    start = saved = time.monotonic()
    pulse = _Pulse(plan, records, int(state.step))

    def now() -> Course:
        return Course(state, best, before + time.monotonic() - start)

    try:
        with logging_redirect_tqdm():  # a line of the log goes above the bar
            while not finished(done := int(state.step), best, plan):
                epoch, skipped = divmod(done, plan.batches)
                for number, index in enumerate(order(plan, epoch)[skipped:], skipped + 1):
                    look = bool(plan.look) and (epoch * plan.batches + number - 1) % plan.look == 0
                    state, metrics = step(state, Batch(images, labels, jnp.asarray(index)), look=look)
                    pulse.beat(metrics)
                    if number == plan.batches and validate:
                        pulse.catch_up()
                        best = _judge(validate, state, best, epoch + 1, pulse)
                    if time.monotonic() - saved >= plan.save_seconds:
                        pulse.catch_up()
                        save(checkpoints, now(), facts)
                        saved = time.monotonic()
                pulse.tell(epoch + 1)
            pulse.catch_up()
            save(checkpoints, now(), facts)
            checkpoints.wait()
    finally:
        pulse.close()
    return now()


def finished(step: int, best: Best | None, plan: Plan) -> bool:
    """Whether training ends here: at the last epoch, or after `patience` epochs that were no better."""
    epoch, within = divmod(step, plan.batches)
    stale = bool(plan.patience and best and not within and epoch - best.epoch >= plan.patience)
    return stale or epoch >= plan.epochs


def save(checkpoints: Checkpoints, course: Course, facts: dict[str, Any]) -> None:
    """Starts to save a course; refuses one that is not finite, so that the last checkpoint is always a good one."""
    step = int(course.state.step)
    if not bool(_finite(course.state.variables)):
        raise UserError(_diverged(step))
    leaves = jax.tree.leaves(course.state.optimizer)
    tree = {'variables': course.state.variables, 'optimizer': {f'{n:04}': leaf for n, leaf in enumerate(leaves)}}
    position = {'step': step, 'seconds': course.seconds, **facts}
    if course.best:
        tree['best'] = course.best.variables
        position |= {'best_loss': course.best.loss, 'best_epoch': course.best.epoch}
    checkpoints.save(step, tree, position)


def restore(tree: dict[str, Any], position: dict[str, Any], like: State) -> Course:
    """The course that `save` saved; `like` is the state before the first step."""
    device = jax.tree.map(jnp.asarray, tree)
    leaves = [leaf for _, leaf in sorted(device['optimizer'].items())]
    optimizer = jax.tree.unflatten(jax.tree.structure(like.optimizer), leaves)
    state = State(device['variables'], optimizer, jnp.asarray(position['step'], jnp.int32))
    best = Best(device['best'], position['best_loss'], position['best_epoch']) if 'best' in tree else None
    return Course(state, best, position['seconds'])


def _judge(validate: Validate, state: State, best: Best | None, epoch: int, pulse: '_Pulse') -> Best | None:
    loss, accuracy = validate(state.variables)
    row = {'step': int(state.step), 'epoch': float(epoch), 'validation_loss': loss, 'validation_accuracy': accuracy}
    pulse.note(row)
    if best and not loss < best.loss:
        return best
    return Best(jax.tree.map(jnp.copy, state.variables), loss, epoch)  # the next step overwrites the state's buffers


class _Pulse:
    """Metrics of the step before while the next one runs: the device never waits for the terminal."""

    def __init__(self, plan: Plan, records: Records, done: int):
        self._plan, self._records, self._done = plan, records, done
        self._pending: Metrics | None = None
        self._last = time.monotonic()
        self._epoch: list[tuple[float, int, int]] = []  # loss, correct, count
        self._validation = ''
        total = plan.epochs * plan.batches
        form = '{desc} {percentage:.0f} %|{bar:20}| {n_fmt} of {total_fmt} steps, {remaining} left{postfix}'
        self._bar = tqdm(
            total=total,
            initial=done,
            bar_format=form,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
            smoothing=0.1,
        )

    def beat(self, metrics: Metrics) -> None:
        self.catch_up()
        self._pending = metrics

    def catch_up(self) -> None:
        """Fetches what has been dispatched; UserError if its loss is not finite."""
        if self._pending is None:
            return
        loss, correct, count = (value.item() for value in self._pending[:3])
        numbers = {name: value.item() for name, value in self._pending.gradients.items()}
        self._pending = None
        self._done += 1
        if not math.isfinite(loss):
            raise UserError(_diverged(self._done))
        now = time.monotonic()
        speed, self._last = count / (now - self._last), now
        epoch = self._done / self._plan.batches
        self._records.write(
            {'step': self._done, 'epoch': epoch, 'loss': loss, 'accuracy': correct / count, 'images_per_second': speed}
            | {name: value for name, value in numbers.items() if math.isfinite(value)}
        )
        self._epoch.append((loss, correct, count))
        _, accuracy = self._means()
        self._bar.set_postfix_str(
            f'loss {loss:.3f}, accuracy {accuracy:.1%}, {speed:.0f} images/s{self._validation}', refresh=False
        )
        self._bar.set_description_str(f'epoch {math.ceil(epoch)} of {self._plan.epochs}', refresh=False)
        self._bar.update()

    def note(self, row: dict[str, Any]) -> None:
        self._records.write(row)
        self._validation = f', validation {row["validation_accuracy"]:.1%}'
        self._last = time.monotonic()

    def tell(self, epoch: int) -> None:
        """One line an epoch for the log; on a terminal the bar says it."""
        self.catch_up()
        loss, accuracy = self._means()
        self._epoch = []
        log.info('epoch %d of %d: loss %.3f, accuracy %.1f %%%s', epoch, self._plan.epochs, loss, 100 * accuracy,
                 self._validation)  # fmt: skip

    def _means(self) -> tuple[float, float]:
        """Loss and accuracy over the cells of the epoch so far."""
        losses, corrects, counts = zip(*self._epoch, strict=True)
        total = sum(counts)
        return sum(loss * count for loss, count in zip(losses, counts, strict=True)) / total, sum(corrects) / total

    def close(self) -> None:
        self._bar.close()


@jax.jit
def _finite(tree: Variables) -> Array:
    return jnp.array([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()


def _diverged(step: int) -> str:
    return (
        f'the loss is no longer a finite number at step {step}; lower the rate (--config.optimizer.rate) or limit the '
        'gradient (--config.optimizer.clip=1.0) in a new --workdir; the last good checkpoint is kept in this one'
    )
