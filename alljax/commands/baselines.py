"""A classical system alone: beside a run, trained on a folder of cells, or only its masks and measurements.

`python -m alljax.baselines SYSTEM RUN` takes the cells, split and seed of a finished run and compares the two;
`python -m alljax.baselines SYSTEM FOLDER` trains and tests on ALL-IDB2 or on class folders;
`python -m alljax.baselines SYSTEM FOLDER --measure OUT` segments any images; `--list` says what there is.
"""

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from alljax import config as fields
from alljax.baselines import measure
from alljax.baselines.systems import SYSTEMS
from alljax.data import image_files
from alljax.data.datasets import all_idb2
from alljax.errors import UserError, nearest
from alljax.evaluation import compare
from alljax.evaluation.formatting import percent
from alljax.runs import experiment, results
from alljax.storage import run_folder

COMMON = Path(__file__).parents[2] / 'configs' / 'common.py'  # found from any folder


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
    config = nested(run_folder.earlier(run))
    absent = sorted({*fields.CHOICES, *fields.BOUNDS} - {*fields.flat(config), *fields.OPTIONAL, 'baseline.system'})
    if absent:
        raise UserError(f'{run}: was made by an older release, without {", ".join(absent)}; give its command anew')
    config.baseline = ConfigDict({**_no_parts(), 'system': system})
    mine = experiment.run(config, system, fields.flat(config), folder or run.with_name(f'{run.name}-{system}'))
    print('\n'.join(compared(mine, run)))


def on_folder(system: str, folder: Path, options: argparse.Namespace) -> None:
    """Trains and tests the system on a folder of cells, by the settings of a config file."""
    config = fields.load(options.config)
    config.data.root, config.baseline.system = str(folder), system
    try:
        home, _ = all_idb2.places(folder)
        config.data.name = 'all_idb2'
        config.data.task = 'subtype' if (home / 'subtypes.csv').is_file() else 'detection'
    except (UserError, NotADirectoryError):
        config.data.name, config.data.task = 'folder', 'classes'
    given = {'data.root', 'data.name', 'data.task', 'baseline.system'}
    if options.task:
        config.data.task = options.task
    fields.check(config)
    experiment.run(config, system, given, options.workdir)


def compared(first: Path, second: Path) -> list[str]:
    """Two runs on the same test cells, in words; UserError if they are not the same."""
    names = [results.read(run)['model']['name'] for run in (first, second)]
    right = [results.right(run) for run in (first, second)]
    found = compare.mcnemar_by_file(*right)
    if found is None:
        raise UserError(f'{first} and {second}: were tested on other cells, so they cannot be compared')
    count = len(right[0])
    shares = [f'{name} {percent(sum(its.values()) / count, count)}' for name, its in zip(names, right, strict=True)]
    alone = [f'only {name} right: {its}' for name, its in zip(names, found[:2], strict=True)]
    return [f'{", ".join(shares)} of {count} cells', f'{", ".join(alone)}; McNemar p = {found.p:.2g}']


def nested(flat: dict[str, Any]) -> ConfigDict:
    """A config from the dotted fields of a run's config.json."""
    config = ConfigDict()
    for key, value in flat.items():
        *parents, name = key.split('.')
        place = config
        for parent in parents:
            if parent not in place:
                place[parent] = ConfigDict()
            place = place[parent]
        place[name] = _tuples(value)
    return config


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _no_parts() -> dict[str, None]:
    """Every part the system's own."""
    return {key.removeprefix('baseline.'): None for key in fields.OPTIONAL if key.startswith('baseline.')}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='python -m alljax.baselines', description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('system', nargs='?', metavar='SYSTEM', help='one of --list')
    parser.add_argument('place', nargs='?', type=Path, metavar='RUN_OR_FOLDER', help='a run folder, or one of cells')
    parser.add_argument('--list', action='store_true', help='prints every system and what it is made of')
    parser.add_argument('--measure', type=Path, metavar='OUT', help='writes masks and measurements there, no training')
    parser.add_argument('--workdir', type=Path, metavar='DIR', help='the run folder (default beside RUN, or in runs/)')
    parser.add_argument('--task', choices=('detection', 'subtype'), help='for ALL-IDB2; default by its subtypes.csv')
    parser.add_argument(
        '--config', default=str(COMMON), metavar='FILE', help='settings for a FOLDER (default configs/common.py)'
    )
    return parser
