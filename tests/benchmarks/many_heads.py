"""200 heads on frozen features (4 widths, 2 tasks, 5 folds, 5 seeds): together, one by one, and in a loop of torch.

One by one as a run trains them, but compiled once a width and task, where each run of a sweep compiles its own.

python tests/benchmarks/many_heads.py   # needs torch; --widths, --features, --cells and --epochs are of one case alone
"""

import argparse
import functools
import gc
import itertools
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import jax
import jax.numpy as jnp
import numpy as np
import torch

from alljax.models import Input, Model
from alljax.models.head import Head
from alljax.models.trees import flatten
from alljax.training import loop, many_heads, optimizer
from alljax.training.many_heads import HeadTraining, Recipe
from alljax.training.optimizer import OptimizerOptions
from alljax.training.step import Batch, Step, TrainingSetup, initial_state, make_step

CLASSES, FOLDS, SEEDS, BATCH = (4, 2), 5, 5, 28
OPTIONS = OptimizerOptions(rate=1e-3)
FACTORS = {f'head/{layer}/{leaf}': 1.0 for layer in ('hidden', 'logits') for leaf in ('kernel', 'bias')}
CASES = {  # features, widths, cells, epochs
    'narrow heads': (256, (128, 96, 64, 32), 250, 10),
    "the paper's widths": (512, (4096, 3072, 2048, 1024), 250, 1),
}


def main() -> None:
    """Times each case: seconds of the clock and of all cores, compiling included."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--features', type=int)
    parser.add_argument('--widths', type=int, nargs=4)
    parser.add_argument('--cells', type=int, default=250)
    parser.add_argument('--epochs', type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)  # with more of them it takes longer for so small steps
    cases = {'as asked': (given.features, given.widths, given.cells, given.epochs)} if given.features else CASES
    print(f'jax {jax.__version__}, torch {torch.__version__}, {_processor()}, which has one thread')
    for name, case in cases.items():
        _case(name, *case)


def _case(name: str, features: int, widths: tuple[int, ...], cells: int, epochs: int) -> None:
    rows = jnp.asarray(np.random.default_rng(0).normal(size=(cells, features)), jnp.float32)
    heads = [
        _head(rows, width, classes, fold, seed, epochs)
        for width, classes, fold, seed in itertools.product(widths, CLASSES, range(FOLDS), range(SEEDS))
    ]
    steps = len(heads[0].batches)
    print(f'{name}: {len(heads)} heads, {features} to {widths} to {CLASSES}, {steps} steps of {BATCH} each')
    recipe = Recipe(OPTIONS, FACTORS)
    together = _timed('one program', lambda: many_heads.train(_of, rows, heads, recipe))
    alone = _timed('one by one', lambda: [_alone(rows, head) for head in heads])
    worst = max(
        float(jnp.abs(ours.state.variables['params']['head'][layer][leaf] - single[f'head/{layer}/{leaf}']).max())
        for ours, single in zip(together, alone, strict=True)
        for layer, leaf in (key.split('/')[1:] for key in FACTORS)
    )
    print(f'  largest difference of a parameter: {worst:.1e}')
    del together, alone
    gc.collect()
    _timed('torch', lambda: [_torch(np.asarray(rows), head) for head in heads])


def _timed(name: str, work: Callable[[], Any]) -> Any:
    clock, processor = time.perf_counter(), time.process_time()
    found = jax.block_until_ready(work())
    print(f'  {name:12} {time.perf_counter() - clock:7.1f} s, of processors {time.process_time() - processor:7.1f} s',
          flush=True)  # fmt: skip
    return found


def _head(rows: jax.Array, width: int, classes: int, fold: int, seed: int, epochs: int) -> HeadTraining:
    rng = np.random.default_rng([width, classes, fold, seed])
    train = np.arange(len(rows))[np.arange(len(rows)) % FOLDS != fold]
    schedule = loop.Schedule(train, BATCH, epochs, 0, seed, 0.0)
    steps = epochs * schedule.steps_per_epoch
    features = rows.shape[1]
    params = {
        'hidden': {'kernel': rng.normal(0, features**-0.5, (features, width)), 'bias': np.zeros(width)},
        'logits': {'kernel': rng.normal(0, width**-0.5, (width, classes)), 'bias': np.zeros(classes)},
    }
    return HeadTraining(
        jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), {'params': {'head': params}}),
        jnp.asarray(rng.integers(0, classes, len(rows)), jnp.int32),
        jnp.concatenate([jnp.asarray(loop.batches(schedule, epoch)) for epoch in range(epochs)]),
        jnp.asarray(optimizer.rates(OPTIONS, steps, schedule.steps_per_epoch)),
        jnp.ones(classes),
        seed,
    )


def _of(variables: Any, classes: int) -> Model:
    module = Head(classes, variables['params']['head']['hidden']['bias'].shape[0])

    def apply(variables: Any, features: Any, **options: Any) -> Any:
        return module.apply({'params': variables['params']['head']}, features, **options)

    return Model('head', lambda key: {}, apply, Input(8))


def _alone(rows: jax.Array, head: HeadTraining) -> dict[str, jax.Array]:
    """As a run trains it, without its files."""
    setup, step = _step(head.variables['params']['head']['hidden']['bias'].shape[0], len(head.class_weights))
    state = initial_state(setup, jax.tree.map(jnp.asarray, head.variables))
    for chosen in np.asarray(head.batches):
        state, _ = step(state, Batch(rows, head.labels, jnp.asarray(chosen)))
    return flatten(state.variables['params'])


@functools.cache
def _step(width: int, classes: int) -> tuple[TrainingSetup, Step]:
    model = _of({'params': {'head': {'hidden': {'bias': np.zeros(width)}}}}, classes)
    update = optimizer.make(OPTIONS, FACTORS, 1, 1)  # at a constant rate
    setup = TrainingSetup(model, update, lambda rows, key: rows, FACTORS, jnp.ones(classes), 0)
    return setup, make_step(setup)


def _torch(rows: np.ndarray, head: HeadTraining) -> torch.nn.Module:
    params = head.variables['params']['head']
    features, width = params['hidden']['kernel'].shape
    model = torch.nn.Sequential(
        torch.nn.Linear(features, width), torch.nn.ReLU(), torch.nn.Linear(width, len(head.class_weights))
    )
    with torch.no_grad():
        for layer, name in ((model[0], 'hidden'), (model[2], 'logits')):
            layer.weight.copy_(torch.tensor(params[name]['kernel'].T))
            layer.bias.copy_(torch.tensor(params[name]['bias']))
    groups = [
        {'params': [model[0].weight, model[2].weight], 'weight_decay': OPTIONS.l2},
        {'params': [model[0].bias, model[2].bias], 'weight_decay': 0.0},
    ]
    update = torch.optim.SGD(groups, OPTIONS.rate, OPTIONS.momentum)
    images, labels = torch.tensor(rows), torch.tensor(np.asarray(head.labels)).long()
    for chosen in np.asarray(head.batches):
        index = torch.tensor(chosen[chosen >= 0]).long()
        loss = torch.nn.functional.cross_entropy(model(images[index]), labels[index])
        update.zero_grad()
        loss.backward()
        update.step()
    return model


def _processor() -> str:
    lines = Path('/proc/cpuinfo').read_text().splitlines() if Path('/proc/cpuinfo').exists() else []
    return next((line.partition(': ')[2] for line in lines if line.startswith('model name')), platform.processor())


if __name__ == '__main__':
    main()
