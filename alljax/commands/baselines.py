"""A classical system alone: beside a run, trained on a folder of cells, or only its masks and measurements.

`python -m alljax.baselines SYSTEM RUN` takes the cells, split and seed of a finished run and compares the two;
`python -m alljax.baselines SYSTEM FOLDER` trains and tests on ALL-IDB2 or on class folders;
`python -m alljax.baselines SYSTEM FOLDER --measure OUT` segments any images; `--list` says what there is.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from alljax import config as fields
from alljax.baselines import measure
from alljax.baselines.systems import SYSTEMS
from alljax.config import resolve
from alljax.data import datasets, image_files
from alljax.errors import UserError, nearest
from alljax.evaluation import compare
from alljax.evaluation.formatting import percent
from alljax.runs import experiment, results
from alljax.storage import run_folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Does one of the three, and prints what came of it."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format='%(message)s', level=logging.WARNING, force=True)
    logging.getLogger('alljax').setLevel(logging.INFO)
    if options.list:
        print('\n'.join(listed()))
        return 0
    if options.system not in SYSTEMS:
        wrong = f'{options.system}: is no system{nearest(options.system, SYSTEMS)}' if options.system else ''
        raise UserError(f'{wrong or "name a system"}; they are {", ".join(SYSTEMS)}')
    if not options.place:
        raise UserError(f'name a run or a folder of cells after {options.system}')
    if not options.place.exists():
        raise UserError(f'{options.place}: there is no such folder; expected a run folder, or one of cells')
    if options.measure:
        files = image_files.files([options.place])
        measure.write(SYSTEMS[options.system](), options.place, files, options.measure, print)
    elif (options.place / 'config.json').is_file():
        beside(options.system, options.place, options.workdir)
    else:
        on_folder(options.system, options.place, options)
    return 0


def listed() -> list[str]:
    """A line a system: its name and its parts."""
    width = max(map(len, SYSTEMS))
    return [f'{name:<{width}}  {make()}' for name, make in SYSTEMS.items()]


def beside(system: str, run: Path, folder: Path | None) -> None:
    """Runs the system on the cells, split and seed of a finished run, and prints which of the two was right when."""
    if not run_folder.is_finished(run):
        raise UserError(f'{run}: is not finished, so there is nothing to compare with; give its command again first')
    config = resolve.config_of_run(run)
    config.baseline = ConfigDict({**dict.fromkeys(config.baseline), 'system': system})
    folder = folder or run.with_name(f'{run.name}-{system}')
    plan = resolve.resolve(config, fields.flat(config), run_folder.earlier(folder))
    mine = experiment.run(plan, folder)
    print('\n'.join(compared(mine, run)))


def on_folder(system: str, folder: Path, options: argparse.Namespace) -> None:
    """Trains and tests the system on a folder of cells, by the settings of a config file."""
    config = fields.load(options.config) if options.config else fields.defaults()
    config.data.root, config.baseline.system = str(folder), system
    config.data.name, config.data.task = datasets.recognized(folder)
    given = {'data.root', 'data.name', 'data.task', 'baseline.system'}
    if options.task:
        config.data.task = options.task
    plan = resolve.resolve(config, given, run_folder.earlier(options.workdir))
    experiment.run(plan, options.workdir or run_folder.default(system, plan.data.name, plan.demo))


def compared(first: Path, second: Path) -> list[str]:
    """Two runs on the same test cells, in words; UserError if they are not the same."""
    names = [results.read(run)['model']['name'] for run in (first, second)]
    right = [results.correct_by_file(run) for run in (first, second)]
    found = compare.mcnemar_by_file(*right)
    if found is None:
        raise UserError(f'{first} and {second}: were tested on other cells, so they cannot be compared')
    count = len(right[0])
    shares = [f'{name} {percent(sum(its.values()) / count, count)}' for name, its in zip(names, right, strict=True)]
    alone = [f'only {name} right: {its}' for name, its in zip(names, found[:2], strict=True)]
    return [f'{", ".join(shares)} of {count} cells', f'{", ".join(alone)}; McNemar p = {found.p:.2g}']


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m alljax.baselines', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('system', nargs='?', metavar='SYSTEM', help='one of --list')
    parser.add_argument('place', nargs='?', type=Path, metavar='RUN_OR_FOLDER', help='a run folder, or one of cells')
    parser.add_argument('--list', action='store_true', help='prints every system and what it is made of')
    parser.add_argument('--measure', type=Path, metavar='OUT', help='writes masks and measurements there, no training')
    parser.add_argument('--workdir', type=Path, metavar='DIR', help='the run folder (default beside RUN, or in runs/)')
    parser.add_argument('--task', metavar='TASK', help='of the data set: detection or subtype; default by its tables')
    parser.add_argument('--config', metavar='FILE', help="settings for a FOLDER (default: the paper's)")
    return parser
