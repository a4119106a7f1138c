"""Peak memory and time of converting the largest published file, as a multiple of the file's size.

    python tests/benchmarks/conversion.py [--name vit_h_14]

Needs the `parity` extra, which writes a file of random numbers in the published shapes. The converter runs as a process
of its own, without torch.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / 'tests' / 'parity')]

import peers


def main() -> None:
    """Prints one line."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--name', default='vit_h_14')
    name = parser.parse_args().name
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'random.pth'
        with torch.device('meta'):
            shapes = peers.build(name).state_dict()
        torch.save({key: torch.rand(leaf.shape).to(leaf.dtype) for key, leaf in shapes.items()}, path)
        size = path.stat().st_size
        command = [sys.executable, '-m', 'alljax.weights', name, '--file', str(path), '--out', f'{folder}/out']
        start = time.monotonic()
        subprocess.run(command, cwd=ROOT, check=True, env={**os.environ, 'ALLJAX_CACHE': f'{folder}/cache'})
        seconds = time.monotonic() - start
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
        print(f'{name}: file {size / 2**20:.0f} MiB, peak {peak / 2**20:.0f} MiB = {peak / size:.2f} times, '
              f'{seconds:.0f} s')  # fmt: skip


if __name__ == '__main__':
    main()
