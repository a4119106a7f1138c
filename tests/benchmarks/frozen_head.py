"""Seconds of the paper's head, 100 epochs on 456 cells, once the features of the frozen layers are known.

python tests/benchmarks/frozen_head.py
"""

import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np

from alljax import models
from alljax.models.trees import flatten
from alljax.storage.checkpoints import Checkpoints
from alljax.training import batch_sources, loop, optimizer
from alljax.training.metrics_log import MetricsLog
from alljax.training.optimizer import OptimizerOptions
from alljax.training.progress import Progress
from alljax.training.step import TrainingSetup, initial_state, make_step
from configs import subtype

CELLS, EPOCHS = 456, 100


def main() -> None:
    """Trains as a run does: records, checkpoints and all."""
    config = subtype.get_config()
    _, head = models.cut('alexnet', 4)
    width = 4096
    kernel = jax.random.normal(jax.random.key(0), (width, 1024)) / width**0.5
    last = jax.random.normal(jax.random.key(1), (1024, 4)) / 32
    params = {
        'hidden': {'kernel': kernel, 'bias': jnp.zeros(1024)},
        'logits': {'kernel': last, 'bias': jnp.zeros(4)},
    }
    variables = {'params': {'head': params}}
    rng = np.random.default_rng(0)
    labels = np.arange(CELLS) % 4
    features = np.maximum(rng.standard_normal((CELLS, width)), 0).astype(np.float32)
    factors = dict.fromkeys(flatten(variables['params']), 20.0)
    schedule = loop.Schedule(np.arange(CELLS), config.batch_size, EPOCHS, 0, 0, config.checkpoint.seconds)
    epoch = schedule.steps_per_epoch
    update = optimizer.make(OptimizerOptions(), factors, EPOCHS * epoch, epoch)
    setup = TrainingSetup(head, update, lambda rows, key: rows, factors, jnp.ones(4), 0)
    steps, progress = loop.Steps(make_step(setup)), Progress(initial_state(setup, variables), None, 0.0)
    cells = batch_sources.DeviceCells(jnp.asarray(features), jnp.asarray(labels))
    with tempfile.TemporaryDirectory() as folder:
        files = loop.Files(MetricsLog(Path(folder), 0), Checkpoints(Path(folder) / 'checkpoints'), {'seed': 0})
        start = time.perf_counter()
        progress = loop.fit(steps, progress, cells, schedule, None, files)
        seconds = time.perf_counter() - start
        files.metrics.close()
        files.checkpoints.close()
    print(
        f'{EPOCHS} epochs of {CELLS} cells, {int(progress.state.step)} steps of {config.batch_size}, '
        f'head {width} to 1024 to 4: {seconds:.1f} s, compiling, records and checkpoint included'
    )


if __name__ == '__main__':
    main()
