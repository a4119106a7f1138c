"""Drawn cells through every classical system: seconds for all of them, and how well the cell is found.

python tests/benchmarks/systems.py [--cells 760] [--network efficientnet_lite0] [--worst DIR]

Nothing is taken from the cache. The grouped hold-out split of configs/subtype.py, no copies; times are of segmentation,
features, choosing and fitting, and prediction on all cores.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))


from alljax import config as config_files
from alljax.baselines import segmentation_scores
from alljax.baselines.systems import SYSTEMS, WHOLE
from alljax.config import resolve
from alljax.data import datasets
from alljax.data.protocol import divide
from alljax.runs import classical_system, segmentation_sheet
from alljax.storage import cache
from configs import subtype


def main() -> None:
    """Prints a line a system, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cells', type=int, default=760)
    parser.add_argument('--network', default='efficientnet_lite0', help='of vogado2017; random if it has no weights')
    parser.add_argument('--worst', type=Path, metavar='DIR', help='writes a sheet of the worst cells of each system')
    options = parser.parse_args()
    cache.keep_compiled_programs()
    config = subtype.get_config()
    config.data.name, config.data.cells, config.model.name = 'synthetic', options.cells, options.network
    whole, head = 0.0, ('nucleus', 'cell', 'nucleus', 'cell')
    print(f'{options.cells} drawn cells{"":28}mean Dice      Hausdorff, pixels  nothing')
    print(f'{"":24}seconds  accuracy  {head[0]:>8}{head[1]:>7}{head[2]:>11}{head[3]:>7}    found')
    for name in SYSTEMS:
        config.baseline.system = name
        plan = resolve.resolve(config, config_files.flat(config))
        cells, parts = divide(datasets.load(plan.data, 0), plan.split, plan.augmentation, 0)
        start = time.perf_counter()
        run = classical_system.fitted(plan, cells, parts, keep=False)
        shares = classical_system.predictor(run)(cells.images[parts.test], plan.batch_size)
        seconds = time.perf_counter() - start
        whole += seconds
        right = (shares.argmax(1) == cells.labels[parts.test]).mean()
        print(f'{name:<24}{seconds:>7.1f}{right:>10.1%}', end='', flush=True)
        print(_found(run.system, name, cells, options.worst) if run.system.segment != WHOLE else '')
    print(f'all: {whole / 60:.1f} minutes')


def _found(system, name, cells, worst) -> str:
    every = segmentation_scores.score(system, cells)
    if worst:
        worst.mkdir(parents=True, exist_ok=True)
        segmentation_sheet.draw_worst(every, worst / f'{name}.png', name)
    dice, cell, far, farther = every.scores.mean(0)
    missing = sum(not parts.found for parts in every.found)
    return f'{dice:>10.3f}{cell:>7.3f}{far:>11.1f}{farther:>7.1f}{missing:>9}'


if __name__ == '__main__':
    main()
