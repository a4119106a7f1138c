"""An epoch of cells that are read in batches against one of cells in memory, and how long its steps wait for a batch.

    python tests/benchmarks/streaming.py [--cells 2000] [--epochs 3]

The cells are those of drawn_folder.py (64 pixels), turned and mirrored at each step; the network is the whole
SqueezeNet 1.1 from random weights. Epochs of both kinds take turns in one process, after a batch that compiles. Waiting
is the time from asking for a batch to having it, which in memory is the choice of its cells: while a step waits, the
device has nothing to do.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import drawn_folder
import growth
import numpy as np

from alljax.training import batch_sources

NETWORK = ('squeezenet1_1', {'head': 8, 'size': drawn_folder.SIZE})


class Epoch(NamedTuple):
    """What one epoch took, in seconds."""

    wall: float
    processor: float
    waiting: float


def main() -> None:
    """Prints a line for each kind."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cells', type=int, default=2000)
    parser.add_argument('--epochs', type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[Epoch]] = {'in memory': [], 'in batches': []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / 'cells'
        drawn_folder.draw(root, options.cells)
        kinds = {name: growth.load(root, name == 'in memory') for name in found}
        for cells in kinds.values():
            epoch(cells, growth.BATCH)  # compiles
        for _ in range(options.epochs):
            for name, cells in kinds.items():
                found[name].append(epoch(cells, len(cells)))
    print(f'{growth.processor()}; {options.cells} cells, batches of {growth.BATCH}, median of {options.epochs} epochs')
    for name, epochs in found.items():
        wall, processor, waiting = (statistics.median(column) for column in zip(*epochs, strict=True))
        print(
            f'{name:12} {wall:7.1f} s on the clock, {processor:7.1f} s of processor, waiting {waiting:6.2f} s '
            f'({waiting / wall:.1%})'
        )


def epoch(cells, count: int) -> Epoch:
    """One epoch on the first `count` cells."""
    growth.PROGRAM[2:] = [growth.inputs_of(cells, NETWORK)] if growth.PROGRAM else []
    waited = [0.0]
    kind = batch_sources.StreamedCells if not isinstance(cells.images, np.ndarray) else batch_sources.DeviceCells
    given = kind.batches

    def timed(self, order):
        batches = given(self, order)
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            waited[0] += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    kind.batches = timed
    began, before = time.perf_counter(), growth.seconds()
    try:
        growth.train(cells, np.arange(count), NETWORK)
    finally:
        kind.batches = given
    return Epoch(time.perf_counter() - began, growth.seconds() - before, waited[0])


if __name__ == '__main__':
    main()
