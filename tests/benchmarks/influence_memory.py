"""Time and peak memory of TRAK and EK-FAC with AlexNet's head and with all of it, each in a process of its own.

    python tests/benchmarks/influence_memory.py [--cells 500] [--parts trak_head ekfac_head trak_all ekfac_all]

Random weights and cells of 227 × 227 pixels: neither time nor memory depends on what they show. TRAK gives the scores
of all cells on the first five (512 numbers of a gradient, projected by factors); EK-FAC the curvature with corrected
eigenvalues of a Fisher matrix sampled once a cell, and then the influence of all cells on the first. Seconds are of the
processor: all threads together.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from alljax import gradients, models
from alljax.models.trees import flatten

CLASSES, SIZE, BATCH, DAMPING = 4, 227, 32, 1e-3
KEY = jax.random.key(0)


def main() -> None:
    """Prints a line for each part."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cells', type=int, default=500)
    parser.add_argument('--parts', nargs='*', default=list(PARTS), choices=list(PARTS))
    parser.add_argument('--one', default='')
    options = parser.parse_args()
    if options.one:
        run(options.one, options.cells)
        return
    for part in options.parts:
        command = [sys.executable, __file__, '--cells', str(options.cells), '--one', part]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        print(done.stdout.strip() or f'{part}: {done.stderr.strip().splitlines()[-1:]}', flush=True)


def run(part: str, cells: int) -> None:
    """Runs a part in this process, and prints its seconds and its peak memory."""
    apply, params, x = network('head' if part.endswith('head') else 'all', cells)
    y = jnp.arange(cells) % CLASSES
    began = time.process_time()
    jax.block_until_ready(PARTS[part](apply, params, (x, y)))
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    count = sum(leaf.size for leaf in flatten(params).values())
    print(f'{part:12} {cells} cells, {count:,} parameters: {seconds:6.0f} s, {peak / 1e9:.2f} GB')


def network(which: str, cells: int) -> tuple[Any, Any, np.ndarray]:
    """`apply`, its parameters and its inputs: images, or what the frozen layers give."""
    model = models.create('alexnet', CLASSES)
    params = model.init(KEY)['params']
    rng = np.random.default_rng(0)
    if which == 'all':
        images = rng.normal(size=(cells, SIZE, SIZE, 3)).astype(np.float32)
        return lambda params, x: model.apply({'params': params}, x), params, images
    halves = models.cut('alexnet', CLASSES)
    assert halves is not None
    head = halves[1]
    features = np.maximum(rng.normal(size=(cells, params['head']['hidden']['kernel'].shape[0])), 0).astype(np.float32)
    return lambda params, x: head.apply({'params': params}, x), {'head': params['head']}, features


def trak(apply: Any, params: Any, cells: tuple[Any, Any]) -> Any:
    """The scores of all cells on the first five."""
    few = cells[0][:5], cells[1][:5]
    return gradients.trak(apply, [params], cells, few, key=KEY, projection='factored', batch_size=BATCH)


def ekfac(apply: Any, params: Any, cells: tuple[Any, Any]) -> Any:
    """The influence of all cells on the first."""

    def loss(params: Any, x: Any, y: Any) -> Any:
        return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y)

    factors = gradients.kronecker_factors(
        apply, params, *cells, kind='sampled_fisher', key=KEY, corrected=True, batch_size=BATCH
    )
    solve = jax.jit(gradients.kronecker_solve)
    one = cells[0][:1], cells[1][:1]
    return gradients.influence_functions(
        loss, params, cells, one, solve=lambda tree: solve(factors, tree, DAMPING), batch_size=BATCH
    )


PARTS: dict[str, Callable[..., Any]] = {'trak_head': trak, 'ekfac_head': ekfac, 'trak_all': trak, 'ekfac_all': ekfac}

if __name__ == '__main__':
    main()
