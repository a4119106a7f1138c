"""Averages finished runs: copies their models into one model folder, which `alljax predict` reads like any other.

Name run folders, or the folder of a cross-validation or of one variant of a sweep, all of whose runs are taken. Models
may be networks and classical systems, and may prepare cells each its own way; classes, data.size and data.denoise have
to be the same.
"""

from collections.abc import Sequence
from pathlib import Path

from alljax.commands import Parser
from alljax.errors import printable


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the ensemble and prints what it is made of."""
    options = _parser().parse_args(arguments)
    if options.config:
        from alljax import config

        config.load(options.config)
    from alljax.runs import ensemble_of_runs

    made = ensemble_of_runs.written(options.runs, options.to)
    for one in made.run.members:
        print(printable(f'  {one.weight:6.1%}  {one.name}', keep=''))
    print(
        printable(
            f'written: {made.folder}, the average of {len(made.run.members)} models of {len(made.runs)} runs. No test '
            'score is known for it: cells that tested one model may have trained another',
            keep='',
        )
    )
    return 0


def _parser() -> Parser:
    parser = Parser('ensemble', __doc__, 'alljax ensemble runs/my-cross-validation --to runs/average')
    parser.add_argument(
        'runs', type=Path, nargs='+', metavar='RUN', help='a finished run, or a folder that holds some, such as folds'
    )
    parser.add_argument('--to', type=Path, required=True, metavar='DIR', help='the new model folder')
    parser.add_argument('--config', metavar='FILE', help='the config file that adds a network of your own')
    return parser
