"""Steps of small convolutional networks one by one, vmapped, and mapped in one program: processor time.

    python tests/benchmarks/many_networks.py [--networks 8] [--rounds 5]

Why heads are trained together (many_heads.py) and networks whose convolutions learn are not: under vmap each network's
kernels become groups of one convolution, and a loop within a program takes a processor's threads from its convolutions.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import flax.linen as nn
import growth
import jax
import jax.numpy as jnp
import optax

BATCH, SIDE, CLASSES = 28, 64, 4


class Small(nn.Module):
    """Three convolutions and a dense layer."""

    @nn.compact
    def __call__(self, x):
        for features in (16, 32, 64):
            x = nn.relu(nn.Conv(features, (3, 3), 2)(x))
        return nn.Dense(CLASSES)(x.mean((1, 2)))


def main() -> None:
    """Prints a line for each way."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--networks', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=5)
    options = parser.parse_args()
    net, labels = Small(), jnp.arange(BATCH) % CLASSES
    x = jax.random.normal(jax.random.key(0), (BATCH, SIDE, SIDE, 3))
    together = jax.vmap(lambda key: net.init(key, x))(jax.random.split(jax.random.key(1), options.networks))
    apart = [jax.tree.map(lambda leaf, n=n: leaf[n], together) for n in range(options.networks)]

    def step(params, x):
        def loss(params):
            return optax.softmax_cross_entropy_with_integer_labels(net.apply(params, x), labels).mean()

        return jax.tree.map(lambda leaf, gradient: leaf - 0.01 * gradient, params, jax.grad(loss)(params))

    one, all_at_once = jax.jit(step), jax.jit(jax.vmap(step, (0, None)))
    in_turn = jax.jit(lambda params, x: jax.lax.map(lambda own: step(own, x), params))
    print(f'jax {jax.__version__}, {growth.processor()}; {options.networks} networks, a step of {BATCH} cells of each')
    for name, run in {
        'one by one': lambda: [one(params, x) for params in apart],
        'vmapped': lambda: all_at_once(together, x),
        'mapped in one program': lambda: in_turn(together, x),
    }.items():
        print(f'{name:24}{1000 * median(run, options.rounds):8.0f} ms of processor')


def median(run: Callable[[], object], rounds: int) -> float:
    """The processor time of a call, in seconds, after one that compiles."""
    found = []
    for number in range(rounds + 1):
        began = time.process_time()
        jax.block_until_ready(run())
        if number:
            found.append(time.process_time() - began)
    return statistics.median(found)


if __name__ == '__main__':
    main()
