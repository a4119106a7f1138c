"""Images per second of the training step against PyTorch's, on the same cores, alternating: medians and their ratio.

    python tests/benchmarks/train_step.py [--rounds 15]

Needs the `parity` extra. Both sides train AlexNet with the paper's head by SGD with momentum and L2, float32, batch 28,
227×227. Ours is the step that runs train with, from crops on the device: gather, rotation, mirroring and normalization
are in it (`augmented`); without them it is like theirs, whose batch lies ready.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests' / 'parity')]

import torch_alexnet

from alljax import models
from alljax.config.fields import FIELDS
from alljax.data.augment import Augmentation
from alljax.models.trees import flatten
from alljax.storage import cache
from alljax.training import inputs, learning_rate_factors, optimizer
from alljax.training.optimizer import OptimizerOptions
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step

BATCH, SIZE, CLASSES = 28, 227, 4


def ours(augmented: bool) -> Callable[[], None]:
    """One step of the paper's settings."""
    model = models.create('alexnet', CLASSES)
    variables = model.init(jax.random.key(0))
    factors = learning_rate_factors.factors(list(flatten(variables['params'])), FIELDS['optimizer.factors'].default, '')
    update = optimizer.make(OptimizerOptions(), factors, 1000, 10)
    prepare = inputs.make_prepare(model, Augmentation()) if augmented else lambda images, key: images / jnp.float32(255)
    setup = TrainingSetup(model, update, prepare, factors, jnp.ones(CLASSES), 0)
    step = make_step(setup)
    side = 257 if augmented else SIZE
    images = jax.random.randint(jax.random.key(1), (BATCH, side, side, 3), 0, 256, jnp.uint8)
    batch = Batch(images, jnp.arange(BATCH) % CLASSES, jnp.arange(BATCH))
    state = [initial_state(setup, variables)]

    def run() -> None:
        state[0], metrics = step(state[0], batch)
        metrics.loss.block_until_ready()

    return run


def theirs(channels_last: bool) -> Callable[[], None]:
    """One step of torchvision's AlexNet."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    net = torch_alexnet.create(CLASSES).train().to(memory_format=layout)
    head = list(net.classifier[6].parameters())
    old = [p for p in net.parameters() if not any(p is q for q in head)]
    groups = [{'params': old, 'lr': 1e-4}, {'params': head, 'lr': 2e-3}]
    sgd = torch.optim.SGD(groups, lr=1e-4, momentum=0.9, weight_decay=1e-4)
    image = torch.rand(BATCH, 3, SIZE, SIZE).to(memory_format=layout)
    label = torch.arange(BATCH) % CLASSES

    def run() -> None:
        sgd.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(image), label)
        loss.backward()
        sgd.step()
        loss.item()

    return run


def product(size: int = 2048) -> Callable[[], object]:
    """One matrix product, of 2·size³ operations."""
    matrix, multiply = jnp.ones((size, size)), jax.jit(jnp.dot)
    return lambda: multiply(matrix, matrix).block_until_ready()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=15)
    rounds = parser.parse_args().rounds
    cache.keep_compiled_programs()
    before = time.monotonic()
    runs = {'alljax': ours(False), 'alljax, augmented': ours(True)}
    for run in runs.values():
        run()
    print(f'two of our programs built and run in {time.monotonic() - before:.1f} s')
    print(f'peak memory of our side {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB')
    runs |= {'torch, default layout': theirs(False), 'torch, channels-last': theirs(True), 'matrix product': product()}
    times = {name: [] for name in runs}
    for number in range(rounds + 2):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number >= 2:
                times[name].append(time.perf_counter() - start)
    median = {name: float(np.median(values)) for name, values in times.items()}
    step_flops = 3 * 2 * BATCH * 0.71e9  # 0.71 G multiply-adds a cell forward, twice that backward
    peak = 2 * 2048**3 / median['matrix product']
    print(f'jax {jax.__version__}, torch {torch.__version__}, {torch.get_num_threads()} threads, medians of {rounds}')
    least = 1000 * step_flops / peak
    print(f'matrix product {peak / 1e9:.0f} GFLOP/s: at that speed a step by definition takes {least:.0f} ms')
    print(f'{"":24}{"ms a step":>10}{"images/s":>10}{"to default":>12}{"to channels-last":>18}')
    for name in list(runs)[:4]:
        ratios = (median[peer] / median[name] for peer in ('torch, default layout', 'torch, channels-last'))
        print(f'{name:24}{1000 * median[name]:10.0f}{BATCH / median[name]:10.1f}' + '{:12.2f}{:18.2f}'.format(*ratios))


if __name__ == '__main__':
    main()
