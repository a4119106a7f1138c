"""Gives the class probabilities of images, by a trained network or a fitted classical system."""

import io
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alljax.commands import Parser, warn_of_synthetic
from alljax.errors import UserError, printable

if TYPE_CHECKING:
    from alljax.predict import Row, Table

PROGRESS = 500  # files between two lines on stderr


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line an image; the exit code is 1 if any could not be read."""
    options = _parser().parse_args(arguments)
    if options.top < 1:
        raise UserError(f'--top {options.top}: expected 1 or more')
    from alljax import config, predict
    from alljax.data import image_files
    from alljax.storage import cache

    if options.config:
        config.load(options.config)
    run = predict.load(options.run)
    if options.csv and (options.csv.is_dir() or not options.csv.absolute().parent.is_dir()):
        raise UserError(f'--csv {options.csv}: is a folder or lies in none that exists; name a file')
    cache.keep_compiled_programs()
    if run.card.synthetic:
        warn_of_synthetic()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='backslashreplace')  # a name that the terminal's encoding does not hold
    files = image_files.files(options.paths)
    rows = predict.predict(run, files)
    if not options.csv:
        return _tell(rows, run.classes, options.top, len(files))
    with predict.csv_table(options.csv, run.classes) as table:
        try:
            return _tell(rows, run.classes, options.top, len(files), table)
        except BaseException:
            if table.file.lines > 1:
                _say(f'{table.file.lines - 1} of {len(files)} rows are in {table.file.path}')
            raise


def _tell(rows: Iterable['Row'], classes: Sequence[str], top: int, total: int, table: 'Table | None' = None) -> int:
    """Prints and keeps each row as it comes; the exit code."""
    from alljax.data.training_likeness import UNKNOWN

    errors = far = unknown = 0
    for number, row in enumerate(rows, 1):
        if table:
            table.add(row)
        errors += bool(row.error)
        unknown += row.unlike == UNKNOWN
        far += row.unlike not in ('', UNKNOWN)
        try:
            print(printable(_line(row, classes, top), keep=''), flush=True)
        except BrokenPipeError:  # whoever read the lines has seen enough, as `head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if not table:
                return 1
        if number % PROGRESS == 0 and number < total:
            _say(f'{number} of {total} files' + (f', so far in {table.file.path}' if table else ''))
    if errors:
        _say(f'{errors} of {total} files could not be read')
    if far:
        _say(f'{far} of {total} pictures are unlike the training cells: their probabilities say little')
    if unknown:
        _say('the model does not tell how its training cells look, so no picture is called unlike them; train it again')
    return int(errors > 0)


def _line(row: 'Row', classes: Sequence[str], top: int) -> str:
    from alljax.data.training_likeness import UNKNOWN

    if row.probabilities is None:
        return f'{row.file}: error: {row.error}'
    best = (-row.probabilities).argsort(kind='stable')[:top]
    said = ', '.join(f'{classes[index]} {row.probabilities[index]:.1%}' for index in best)
    notes = [row.note, f'unlike the training cells: {row.unlike}' if row.unlike not in ('', UNKNOWN) else '']
    return f'{row.file}: {said}' + ''.join(f' ({note})' for note in notes if note)


def _say(sentence: str) -> None:
    print(printable(f'alljax: {sentence}', keep=''), file=sys.stderr, flush=True)


def _parser() -> Parser:
    parser = Parser('predict', __doc__, 'alljax predict runs/my-run cells/ --csv probabilities.csv')
    parser.add_argument('run', type=Path, metavar='RUN', help='a run folder, or the model/ folder of one')
    parser.add_argument('paths', type=Path, nargs='+', metavar='PATH', help='images, or folders of them')
    parser.add_argument(
        '--csv',
        type=Path,
        metavar='FILE',
        help='writes all probabilities to this file, which grows as FILE.part until all rows are there',
    )
    parser.add_argument('--config', metavar='FILE', help='the config file that adds a network of your own')
    parser.add_argument('--top', type=int, default=1, metavar='K', help='how many classes to print (default 1)')
    return parser
