"""Training as one follows it: rows of metrics.jsonl, a progress bar on a terminal, a line of the log for each epoch."""

import logging
import math
import sys
import time

import jax
import numpy as np
from tqdm import tqdm

from alljax.storage import progress_bar
from alljax.storage.progress_bar import Stage
from alljax.training.metrics_log import Rows
from alljax.training.progress import not_finite
from alljax.training.step import Metrics

log = logging.getLogger(__name__)
BAR = '{desc} {percentage:.0f} %|{bar:20}| {n_fmt} of {total_fmt} steps, {remaining} left{postfix}'


class Reporter:
    """Fetches and shows the metrics of each step while the next one runs: the device never waits for the terminal."""

    def __init__(self, metrics_log: Rows, epochs: int, steps_per_epoch: int, step: int):
        """`step` is the number of steps that are done."""
        self._log, self._epochs, self._steps_per_epoch, self._step = metrics_log, epochs, steps_per_epoch, step
        self._running: Metrics | None = None  # of the step that was started last
        self._fetched_at = time.monotonic()
        self._epoch: list[tuple[float, int, int]] = []  # loss, correct cells, cells of each step of this epoch
        self._validation = ''
        self._bar = tqdm(
            total=epochs * steps_per_epoch,
            initial=step,
            bar_format=BAR,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty() or progress_bar.has_listener(),
            smoothing=0.1,
        )

    def step_started(self, metrics: Metrics) -> None:
        """Fetches the metrics of the step before this one; those of several steps are arrays."""
        self.fetch()
        self._running = metrics

    def fetch(self) -> None:
        """Waits for what was started last, and writes a row a step; UserError if a loss is not finite."""
        if self._running is None:
            return
        metrics, self._running = self._running, None
        losses, corrects, counts = (np.ravel(jax.device_get(metrics[place])).tolist() for place in range(3))
        statistics = {name: value.item() for name, value in metrics.gradient_statistics.items()}
        now = time.monotonic()
        speed, self._fetched_at = sum(counts) / (now - self._fetched_at), now
        for loss, correct, cells in zip(losses, corrects, counts, strict=True):
            self._write(loss, correct, cells, speed, statistics)

    def _write(self, loss: float, correct: int, cells: int, speed: float, statistics: dict[str, float]) -> None:
        self._step += 1
        if not math.isfinite(loss):
            raise not_finite(self._step)
        epoch = self._step / self._steps_per_epoch
        row = {
            'step': self._step,
            'epoch': epoch,
            'loss': loss,
            'accuracy': correct / cells,
            'images_per_second': speed,
        }
        self._log.write(row | {name: value for name, value in statistics.items() if math.isfinite(value)})
        self._epoch.append((loss, correct, cells))
        _, accuracy = self._means()
        self._bar.set_postfix_str(
            f'loss {loss:.3f}, training accuracy {accuracy:.1%}, {speed:.0f} images/s{self._validation}', refresh=False
        )
        self._bar.set_description_str(f'epoch {math.ceil(epoch)} of {self._epochs}', refresh=False)
        self._bar.update()
        told = f'epoch {math.ceil(epoch)} of {self._epochs}'
        progress_bar.tell(Stage(told, self._step, self._epochs * self._steps_per_epoch, ' steps'))

    def validated(self, step: int, epoch: int, loss: float, accuracy: float) -> None:
        """Writes the row of a validation, whose time is none of the next step's."""
        self._log.write({'step': step, 'epoch': float(epoch), 'validation_loss': loss, 'validation_accuracy': accuracy})
        self._validation = f', validation accuracy {accuracy:.1%}'
        self._fetched_at = time.monotonic()

    def looked(self, step: int, numbers: dict[str, float]) -> None:
        """Writes the row of a look at the gradients, whose time is none of the next step's."""
        finite = {name: value for name, value in numbers.items() if math.isfinite(value)}
        self._log.write({'step': step, 'epoch': step / self._steps_per_epoch, **finite})
        self._fetched_at = time.monotonic()

    def epoch_ended(self, epoch: int) -> None:
        """One line an epoch for the log; on a terminal the bar says it."""
        self.fetch()
        loss, accuracy = self._means()
        self._epoch = []
        log.info('epoch %d of %d: loss %.3f, training accuracy %.1f %%%s', epoch, self._epochs, loss, 100 * accuracy,
                 self._validation)  # fmt: skip

    def close(self) -> None:
        """Leaves the terminal to others."""
        self._bar.close()

    def _means(self) -> tuple[float, float]:
        """Loss and accuracy over the cells of the epoch so far."""
        losses, corrects, counts = zip(*self._epoch, strict=True)
        total = sum(counts)
        return sum(loss * count for loss, count in zip(losses, counts, strict=True)) / total, sum(corrects) / total
