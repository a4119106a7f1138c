"""Runs a classical system alone: beside a run, trained on a folder of cells, or only for masks and measurements.

`alljax baselines SYSTEM RUN` takes the cells, split and seed of a finished run, or the folds of a cross-validation, and
compares the two;
`alljax baselines SYSTEM FOLDER` trains and tests on ALL-IDB2 or on class folders;
`alljax baselines SYSTEM FOLDER --measure OUT` segments any images, and with `--truth MASKS` scores what it finds
against your own masks; `--list` says what there is.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alljax.commands import Parser
from alljax.errors import UserError, nearest, printable

if TYPE_CHECKING:
    from alljax.baselines.systems import System


def main(arguments: Sequence[str] | None = None) -> int:
    """Does one of the three, and prints what came of it."""
    options = _parser().parse_args(arguments)
    settings = None
    if options.config:
        from alljax import config

        settings = config.load(options.config)  # first, for it may add a system of the user's own
    from alljax.baselines.systems import SYSTEMS, assembled

    if options.list:
        print('\n'.join(listing()))
        return 0
    if options.system not in SYSTEMS:
        wrong = f'{options.system}: is no system{nearest(options.system, SYSTEMS)}' if options.system else ''
        raise UserError(f'{wrong or "name a system"}; they are {", ".join(SYSTEMS)}')
    if not options.place:
        raise UserError(f'name a run or a folder of cells after {options.system}')
    if not options.place.exists():
        raise UserError(f'{options.place}: there is no such folder; expected a run folder, or one of cells')
    if options.truth and not options.measure:
        raise UserError('--truth belongs to --measure OUT; name a folder to write')
    if options.weights and not options.measure:
        raise UserError('--weights belongs to --measure OUT; for a run set config.baseline.weights')
    if options.measure:
        return _measured(assembled(options.system, {'weights': options.weights}), options)
    from alljax import config
    from alljax.config import classical_system_plans
    from alljax.runs import comparison, experiment, results
    from alljax.storage import run_folder

    if (options.place / 'config.json').is_file():
        folder = options.workdir or options.place.with_name(f'{options.place.name}-{options.system}')
        if run_folder.is_cross_validation(options.place):
            return _on_folds(options.system, options.place, folder, options.data)
        plan = classical_system_plans.beside(options.system, options.place, folder, options.data)
        experiment.run(plan, folder, results.read(options.place)['data']['fingerprint'])
        print(printable('\n'.join(comparison.compared(folder, options.place))))
    else:
        settings = config.defaults() if settings is None else settings
        plan = classical_system_plans.on_folder(options.system, options.place, settings, options.task, options.workdir)
        folder = options.workdir or run_folder.default(options.system, plan.data.name, plan.demo)
        experiment.run(plan, folder)
    return 0


def _measured(system: 'System', options: argparse.Namespace) -> int:
    """Masks and measurements, and with masks of the user's the scores and the worst cells."""
    from alljax.baselines import measure
    from alljax.data import image_files

    out = options.measure
    wanted = measure.Wanted(options.place, image_files.files([options.place]), out, options.truth)
    scores = measure.write(system, wanted, lambda line: print(printable(line)))
    if scores:
        from alljax.runs import segmentation_sheet

        segmentation_sheet.draw_worst(scores, out / 'worst.png', f'{options.system}: the worst cells first')
        print(printable(f'written: {out / "scores.csv"} and {out / "worst.png"}'))
    return 0


def _on_folds(system: str, place: Path, folder: Path, data: Path | None) -> int:
    """The system on the folds of a cross-validation, and both compared on all their test cells."""
    from alljax import sweep
    from alljax.runs import comparison, results

    known = results.read(place)['cross_validation']['name']
    print(printable(f'alljax: {place} is a {known}: {system} is run on the same parts'), file=sys.stderr, flush=True)
    if not sweep.beside(system, place, folder, data):
        return 1
    print(printable('\n'.join(comparison.compared(folder, place))))
    return 0


def listing() -> list[str]:
    """A line a system: its name and its parts."""
    from alljax.baselines.systems import SYSTEMS

    width = max(map(len, SYSTEMS))
    return [f'{name:<{width}}  {make()}' for name, make in SYSTEMS.items()]


def _parser() -> Parser:
    parser = Parser('baselines', __doc__, 'alljax baselines putzu2014 runs/my-run')
    parser.add_argument('system', nargs='?', metavar='SYSTEM', help='one of --list')
    parser.add_argument('place', nargs='?', type=Path, metavar='RUN_OR_FOLDER', help='a run folder, or one of cells')
    parser.add_argument('--list', action='store_true', help='prints every system and what it is made of')
    parser.add_argument('--measure', type=Path, metavar='OUT', help='writes masks and measurements there, no training')
    parser.add_argument(
        '--truth', type=Path, metavar='MASKS', help='with --measure: scores against masks of the same names'
    )
    parser.add_argument(
        '--weights',
        metavar='FILE',
        help='with --measure: of `alljax segmentation`, in the place of those of the package',
    )
    parser.add_argument('--workdir', type=Path, metavar='DIR', help='the run folder (default beside RUN, or in runs/)')
    parser.add_argument(
        '--data', type=Path, metavar='DIR', help='the cells of RUN, if they are no longer where they were'
    )
    parser.add_argument('--task', metavar='TASK', help='of the data set: detection or subtype; default by its tables')
    parser.add_argument(
        '--config', metavar='FILE', help='a config file: the settings for a FOLDER (default: those of the package)'
    )
    return parser
