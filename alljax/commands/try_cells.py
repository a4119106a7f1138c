"""Tries a folder of your own cells, one folder of images for each class: checks, audits, cross-validates, and trains.

A network that a laptop carries is tested by group, a last model learns from all cells for `alljax predict`, and all
ends in one page. It is `alljax train` with the config configs/my_cells.py, whose fields --config.a.b=value changes.
Stopped, it goes on with the same --workdir.
"""

from collections.abc import Sequence
from pathlib import Path

import alljax
from alljax.commands import Parser, taking_a_folder, train
from alljax.errors import UserError

CONFIG = Path(alljax.__file__).parent / 'config' / 'my_cells.py'


def main(arguments: Sequence[str] | None = None) -> int:
    """Trains with the packaged config; the exit code is 1 if a fold failed."""
    options, more = _parser().parse_known_args(arguments)
    for argument in more:
        if argument.lstrip('-').partition('=')[0] in ('config', 'config.data.root'):
            raise UserError(
                f'{argument}: alljax try has its own config and names its FOLDER; use alljax train for others'
            )
    given = [f'--workdir={options.workdir}'] if options.workdir else []
    given += [f'--jobs={options.jobs}'] if options.jobs else []
    given += ['--dry_run'] if options.dry_run else []
    with taking_a_folder('try'):
        return train.main([f'--config={CONFIG}', f'--config.data.root={options.folder}', *given, *more])


def _parser() -> Parser:
    parser = Parser('try', __doc__ or '', 'alljax try /path/to/my/cells --workdir=runs/mine')
    parser.add_argument('folder', metavar='FOLDER', help='a folder with a folder of images for each class')
    parser.add_argument('--workdir', metavar='DIR', help='the folder of the results (default: a new one in runs/)')
    parser.add_argument('--jobs', metavar='N', help='how many folds are done at a time')
    parser.add_argument('--dry_run', action='store_true', help='shows the plan and how long it takes')
    return parser
