"""Forward pass and training step of one network of each family against torch, on the same cores, alternating.

    python tests/benchmarks/networks.py [--rounds 5] [--batch 8] [NAME …]

Needs the `parity` extra (and `lite` for efficientnet_lite0, which is left out without it). Both sides run the published
network with 1000 classes, float32, torch in its default layout; a step is forward in training mode, backward, and SGD
with momentum. A ratio is torch's median time over ours: above 1, ours is faster.
"""

import argparse
import gc
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests' / 'parity')]

import peers

from alljax import models
from alljax.models.trees import flatten
from alljax.storage import cache
from alljax.training.step import Batch, TrainingSetup, initial_state, make_step

NAMES = (
    'alexnet', 'vgg11', 'resnet18', 'resnet50', 'resnext50_32x4d', 'squeezenet1_1', 'densenet121', 'googlenet',
    'inception_v3', 'mobilenet_v2', 'mobilenet_v3_small', 'efficientnet_b0', 'efficientnet_v2_s', 'convnext_tiny',
    'vit_b_32',
)  # fmt: skip
Runs = dict[str, Callable[[], object]]


def ours(name: str, batch: int) -> Runs:
    """Our forward pass and step."""
    model = models.create(name, 1000, head=0)
    size = model.input.size
    variables = model.init(jax.random.key(0))
    names, sgd = list(flatten(variables['params'])), optax.sgd(1e-3, momentum=0.9)
    setup = TrainingSetup(model, sgd, lambda image, key: image / jnp.float32(255), names, jnp.ones(1000), 0)
    step = make_step(setup)
    cells = jax.random.randint(jax.random.key(1), (batch, size, size, 3), 0, 256, jnp.uint8)
    image = cells / jnp.float32(255)
    forward = jax.jit(model.apply)
    state = [initial_state(setup, jax.tree.map(jnp.copy, variables))]

    def train() -> None:
        state[0], metrics = step(state[0], Batch(cells, jnp.arange(batch), jnp.arange(batch)))
        metrics.loss.block_until_ready()

    return {'forward': lambda: forward(variables, image).block_until_ready(), 'step': train}


def theirs(name: str, batch: int) -> Runs:
    """Torch's."""
    size = models.MODELS[name].input.size
    still, net = peers.build(name), peers.build(name).train()
    sgd = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9)
    image, label = torch.rand(batch, 3, size, size), torch.arange(batch)

    def forward() -> None:
        with torch.no_grad():
            still(image)

    def train() -> None:
        sgd.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(image), label)
        loss.backward()
        sgd.step()
        loss.item()

    return {'forward': forward, 'step': train}


def medians(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Milliseconds of each, measured in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if number:
                times[name].append(1000 * (time.perf_counter() - start))
    return {name: float(np.median(values)) for name, values in times.items()}


def main() -> None:
    """Prints the table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument('names', nargs='*', default=NAMES)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--batch', type=int, default=8)
    options = parser.parse_args()
    cache.keep_compiled_programs()
    threads = torch.get_num_threads()
    print(f'jax {jax.__version__}, torch {torch.__version__}, {threads} threads, batch {options.batch}, '
          f'medians of {options.rounds}, in ms')  # fmt: skip
    print(f'{"":20}{"forward":>9}{"torch":>8}{"ratio":>7}{"step":>9}{"torch":>8}{"ratio":>7}{"compiled in":>13}')
    for name in options.names:
        our, their = ours(name, options.batch), theirs(name, options.batch)
        start = time.perf_counter()
        for run in our.values():
            run()
        compiled = time.perf_counter() - start
        line = f'{name:20}'
        for kind, width in (('forward', 9), ('step', 9)):
            found = medians({'ours': our[kind], 'theirs': their[kind]}, options.rounds)
            our_ms, their_ms = found['ours'], found['theirs']
            line += f'{our_ms:{width}.0f}{their_ms:8.0f}{their_ms / our_ms:7.2f}'
        print(f'{line}{compiled:11.0f} s', flush=True)
        del our, their
        gc.collect()
        jax.clear_caches()


if __name__ == '__main__':
    main()
