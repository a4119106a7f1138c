"""Gradient analysis against its peers, same weights and cores, alternating: medians, ratios, peak memory.

    python tests/benchmarks/gradients.py [--rounds 3] [--rows saliency trak …] [--markdown]
    python tests/benchmarks/gradients.py --look     # what a training step pays for looking at its gradients
    python tests/benchmarks/gradient_memory.py      # 512 cells through every function, and their peak

Needs the `parity` extra and `pip install backpack-for-pytorch quantus traker`; a row whose peer is absent
says so. float32, evaluation mode. Each side runs in a process of its own and is called once before it is measured; its
peak is that of the process, compiling included. A ratio above 1 means that ours is faster, by the clock or in processor
time.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from gradient_rows import ROWS

FILE = Path(__file__)
sys.path.insert(0, str(FILE.parents[2]))


HEADER = ('', 'peer', 'network', 'examples', 'alljax, ms', 'peer, ms', 'ratio', 'of processor', 'peak, GB', 'peer, GB')
FORM = '{:32}{:>15}{:>9}{:>9}{:>11}{:>10}{:>7}{:>13}{:>9}{:>9}'
PAGE = '{0} | {1}, {2} × {3} | {6} | {8}, {9}'  # two of these stand in a line of alljax/gradients/README.md
TITLE = 'call | peer, network × examples | ratio | peaks, GB'


class Side:
    """One side of a row, in a process that waits until it is asked to run the call once."""

    def __init__(self, side: str, name: str, folder: str) -> None:
        command = [sys.executable, str(FILE), '--side', side, '--of', name, '--weights', folder]
        self.errors = tempfile.TemporaryFile('w+')  # noqa: SIM115 (open as long as the process runs)
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        self.problem = ''
        self.times: list[list[float]] = []  # on the clock, and of processor time

    def run(self) -> list[float]:
        """The two times of one call, or nothing from a process that has failed."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write('run\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has said why
        answer = self.process.stdout.readline().split()
        if not answer and not self.problem:
            self.process.wait()
            self.errors.seek(0)
            self.problem = (self.errors.read().strip().splitlines() or ['it ended'])[-1]
        return [float(number) for number in answer]

    def finish(self) -> float:
        """The peak memory in GB."""
        found, _ = self.process.communicate()
        self.errors.close()
        return float(found.split()[-1]) if found.split() else float('nan')


def work(side: str, name: str, folder: str) -> None:
    """Runs the call of one side once for each line of the input, and prints its times, in the end its peak memory."""
    answers = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)  # libraries print
    row = ROWS[name]
    if side == 'ours':
        import gradient_calls
        import gradient_networks
        import jax

        from alljax.storage import cache

        cache.keep_compiled_programs()
        call = gradient_calls.CALLS[name](gradient_networks.ours(row.network, row.count))
        ready: Any = jax.block_until_ready
    else:
        import gradient_curvature_peers
        import gradient_peers
        import gradient_torch

        calls = gradient_peers.PEERS | gradient_curvature_peers.PEERS
        call = calls[name](gradient_torch.theirs(row.network, row.count, f'{folder}/{row.network}'))
        ready = lambda found: found  # noqa: E731
    for _ in sys.stdin:
        began, processor = time.perf_counter(), time.process_time()
        ready(call())
        print(time.perf_counter() - began, time.process_time() - processor, file=answers, flush=True)
    print(peak_memory(), file=answers, flush=True)


def peak_memory() -> float:
    """This process's peak memory in GB; getrusage's would be that of the process that started it."""
    return int(re.search(r'VmHWM:\s+(\d+)', Path('/proc/self/status').read_text())[1]) / 1e6


def compare(names: list[str], rounds: int, folder: str, *, markdown: bool) -> None:
    """Prints the table, a row at a time."""
    from importlib.metadata import version

    threads = len(os.sched_getaffinity(0))
    print(f'jax {version("jax")}, torch {version("torch")}, {threads} threads, {processor()}, medians of {rounds}')
    print(FORM.format(*HEADER), flush=True)
    found = []
    for name in names:
        row, sides = ROWS[name], [Side(side, name, folder) for side in ('ours', 'theirs')]
        for number in range(rounds + 1):
            for side in sides:
                times = side.run()
                if number and times:
                    side.times.append(times)
        problems = [side.problem for side in sides if side.problem]
        peaks = [side.finish() for side in sides]
        if problems:
            print(f'{name}: {row.peer}: {"; ".join(problems)}', flush=True)
            continue
        (clock, own), (their_clock, their_own) = (np.median(side.times, 0) for side in sides)
        cells = (
            f'{1000 * clock:.0f}', f'{1000 * their_clock:.0f}', f'{their_clock / clock:.2f}', f'{their_own / own:.2f}',
            f'{peaks[0]:.2f}', f'{peaks[1]:.2f}',
        )  # fmt: skip
        found.append((name, row.peer, row.network, str(row.count), *cells))
        print(FORM.format(*found[-1]), flush=True)
    if markdown:
        print('\n| ' + ' | '.join([TITLE, TITLE]) + ' |\n' + '|---' * 8 + '|')
        shown = [PAGE.format(*cells) for cells in found] + [' | | | '] * (len(found) % 2)
        half = len(shown) // 2
        print(*[f'| {one} | {other} |' for one, other in zip(shown[:half], shown[half:], strict=True)], sep='\n')


def processor() -> str:
    """The name of the processor."""
    found = re.search(r'model name\s*:\s*(.+)', Path('/proc/cpuinfo').read_text())
    return found[1] if found else 'unknown processor'


def look(rounds: int) -> None:
    """Prints what a training step pays for looking at its gradients, SGD, batch 28."""
    import jax
    import jax.numpy as jnp
    import optax
    from gradient_networks import ours
    from gradient_rows import CLASSES

    from alljax.models.trees import flatten
    from alljax.training.monitored_step import make_monitored_step
    from alljax.training.step import Batch, Step, TrainingSetup, initial_state, make_step

    model, params, *_ = ours('alexnet', 1)
    names = list(flatten(params))
    sgd = optax.sgd(1e-4, momentum=0.9)
    setup = TrainingSetup(model, sgd, lambda images, key: images / jnp.float32(255), names, jnp.ones(CLASSES), 0)
    images = jax.random.randint(jax.random.key(1), (28, 227, 227, 3), 0, 256, jnp.uint8)
    batch, state = Batch(images, jnp.arange(28) % CLASSES, jnp.arange(28)), initial_state(setup, {'params': params})
    steps: list[tuple[Step, list[float]]] = [(make_step(setup), []), (make_monitored_step(setup), [])]
    for number in range(rounds + 1):
        for step, seconds in steps:
            start = time.perf_counter()
            state, metrics = step(state, batch)
            jax.block_until_ready(metrics)
            if number:
                seconds.append(time.perf_counter() - start)
    plain, looking = (1000 * float(np.median(seconds)) for _, seconds in steps)
    part = (looking - plain) / (10 * plain)
    print(f'a training step {plain:.0f} ms, one that looks {looking:.0f} ms: {part:.1%} more with gradients.every=10')


def main() -> None:
    """Prints one of the tables, or runs one side of a row."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--rows', nargs='*', default=list(ROWS), choices=list(ROWS), metavar='ROW')
    parser.add_argument('--markdown', action='store_true', help='then the table once more, as a page has it')
    parser.add_argument('--look', action='store_true', help='a training step that looks at its gradients')
    parser.add_argument('--side', choices=('ours', 'theirs'), help='one side alone, for the process that compares')
    parser.add_argument('--of', choices=list(ROWS), metavar='ROW')
    parser.add_argument('--weights', help='the folder of the networks for torch')
    parser.add_argument('--save', metavar='NETWORK', help='only write such a network there')
    options = parser.parse_args()
    if options.save:
        import gradient_networks

        gradient_networks.save(options.save, f'{options.weights}/{options.save}')
    elif options.side:
        work(options.side, options.of, options.weights)
    elif options.look:
        look(options.rounds)
    else:
        with tempfile.TemporaryDirectory() as folder:
            for network in {ROWS[name].network for name in options.rows}:
                command = [sys.executable, str(FILE), '--save', network, '--weights', folder]
                subprocess.run(command, check=True)
            compare(options.rows, options.rounds, folder, markdown=options.markdown)


if __name__ == '__main__':
    main()
