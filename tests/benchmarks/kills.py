"""kill -9 at random moments of runs, in memory and in batches, by one process and by two, and the same command again.

    python tests/benchmarks/kills.py [--kills 1000] [--processes 1 2] [--seed 0] [--folder DIR]

The network is that of tests/attacks/tiny.py, and every step is saved. After each kill all checkpoints have to be whole,
and the last no earlier than before; a run that ends has to have the parameters, losses and predictions of one that
nobody disturbed. What the checkpoints take of the disk is measured after each kill, against the two that a run ends
with. A line for each kind of run; the exit code is 1 if anything was lost.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / 'tests')]

from attacks import kills


def main() -> int:
    """Prints a line for each kind of run, and what was lost."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--kills', type=int, default=1000, help='of all kinds together')
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2], choices=[1, 2], help='of a run')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--folder', type=Path, help='where the runs are (default: a temporary folder)')
    options = parser.parse_args()
    lost = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        os.environ.update(ALLJAX_CACHE=str(folder / 'cache'), ALLJAX_OFFLINE='1', JAX_PLATFORMS='cpu')
        asked = [kind for kind, (processes, _) in kills.KINDS.items() if processes in options.processes]
        for number, kind in enumerate(asked):
            share = len(range(number, options.kills, len(asked)))
            tally = kills.attack(kind, share, Random(f'{options.seed} {kind}'), folder / str(number))
            print(f'{kind}: {tally.line()}', *tally.lost, sep='\n    ', flush=True)
            lost += len(tally.lost)
    return int(lost > 0)


if __name__ == '__main__':
    sys.exit(main())
