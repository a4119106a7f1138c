"""Gives the class probabilities of images, by a trained network or a fitted classical system."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alljax.commands import Parser, warn_of_synthetic
from alljax.errors import UserError, printable

if TYPE_CHECKING:
    from alljax.predict import Row


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line an image; the exit code is 1 if any could not be read."""
    options = _parser().parse_args(arguments)
    if options.top < 1:
        raise UserError(f'--top {options.top}: expected 1 or more')
    from alljax import config, predict
    from alljax.storage import cache

    if options.config:
        config.load(options.config)
    run = predict.load(options.run)
    if options.csv and (options.csv.is_dir() or not options.csv.absolute().parent.is_dir()):
        raise UserError(f'--csv {options.csv}: is a folder or lies in none that exists; name a file')
    cache.keep_compiled_programs()
    if run.card.synthetic:
        warn_of_synthetic()
    rows = []
    for row in predict.predict(run, options.paths):
        rows.append(row)
        print(printable(_line(row, run.classes, options.top), keep=''), flush=True)
    if options.csv:
        predict.write_csv(options.csv, rows, run.classes)
    return int(any(row.error for row in rows))


def _line(row: 'Row', classes: Sequence[str], top: int) -> str:
    if row.probabilities is None:
        return f'{row.file}: error: {row.error}'
    best = (-row.probabilities).argsort(kind='stable')[:top]
    said = ', '.join(f'{classes[index]} {row.probabilities[index]:.1%}' for index in best)
    return f'{row.file}: {said}' + (f' ({row.note})' if row.note else '')


def _parser() -> Parser:
    parser = Parser('predict', __doc__, 'alljax predict runs/my-run cells/ --csv probabilities.csv')
    parser.add_argument('run', type=Path, metavar='RUN', help='a run folder, or the model/ folder of one')
    parser.add_argument('paths', type=Path, nargs='+', metavar='PATH', help='images, or folders of them')
    parser.add_argument('--csv', type=Path, metavar='FILE', help='writes all probabilities to this file')
    parser.add_argument('--config', metavar='FILE', help='the config file that adds a network of your own')
    parser.add_argument('--top', type=int, default=1, metavar='K', help='how many classes to print (default 1)')
    return parser
