"""Gives the class probabilities of images, by a trained network or a fitted classical system.

A model that was calibrated (config.calibration.fit) says 'uncertain' below the confidence that its card names, and
'unlike the training cells' of pictures that are. The probabilities of any other model are not calibrated: its
confidence says little about how often it is right.
"""

import io
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alljax.commands import Parser, tell_final_model, warn_of_synthetic
from alljax.errors import UserError, printable

if TYPE_CHECKING:
    from alljax.predict import Predictor, Row, Table

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
    tell_final_model(options.run)
    if run.card.synthetic:
        warn_of_synthetic()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='backslashreplace')  # a name that the terminal's encoding does not hold
    files = image_files.files(options.paths)
    rows = predict.predict(run, files)
    if not options.csv:
        return _tell(rows, run, options.top, len(files))
    with predict.csv_table(options.csv, run.classes, calibrated=run.card.calibration is not None) as table:
        try:
            return _tell(rows, run, options.top, len(files), table)
        except BaseException:
            if table.file.lines > 1:
                _say(f'{table.file.lines - 1} of {len(files)} rows are in {table.file.path}')
            raise


def _tell(rows: Iterable['Row'], run: 'Predictor', top: int, total: int, table: 'Table | None' = None) -> int:
    """Prints and keeps each row as it comes; the exit code."""
    from alljax.data.training_likeness import UNKNOWN
    from alljax.runs.calibration import UNCERTAIN

    errors = far = unknown = uncertain = 0
    for number, row in enumerate(rows, 1):
        if table:
            table.add(row)
        errors += bool(row.error)
        unknown += row.unlike == UNKNOWN
        far += row.is_unlike
        uncertain += row.answer == UNCERTAIN
        try:
            print(printable(_line(row, run.classes, top), keep=''), flush=True)
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
    if uncertain:
        _say(f'{uncertain} of {total} pictures are uncertain: {_limit(run)}')
    if unknown:
        _say('the model does not tell how its training cells look, so no picture is called unlike them; train it again')
    return int(errors > 0)


def _limit(run: 'Predictor') -> str:
    """The reason why answers are uncertain."""
    known = run.card.calibration
    assert known
    cells = f'on the {known.cells} cells that calibrated the model'
    if known.certain is None:
        return f'no confidence reached an accuracy of {known.accuracy:.0%} {cells}'
    return f'their confidence is below {known.certain:.1%}, from which {known.accuracy:.0%} were right {cells}'


def _line(row: 'Row', classes: Sequence[str], top: int) -> str:
    if row.probabilities is None:
        return f'{row.file}: error: {row.error}'
    best = (-row.probabilities).argsort(kind='stable')[:top]
    said = ', '.join(f'{classes[index]} {row.probabilities[index]:.1%}' for index in best)
    unlike = f'unlike the training cells: {row.unlike}' if row.is_unlike else ''
    if not row.answer:
        return f'{row.file}: {said}' + ''.join(f' ({note})' for note in (row.note, unlike) if note)
    if not unlike and row.answer in classes:
        return f'{row.file}: {said}' + (f' ({row.note})' if row.note else '')
    answer = unlike or f'{row.answer}: {_or(row.possible, classes)}'
    return f'{row.file}: {answer} ({said})' + (f' ({row.note})' if row.note else '')


def _or(possible: Sequence[str], classes: Sequence[str]) -> str:
    """The set of classes in words."""
    if len(possible) == 1:
        return f'probably {possible[0]}'
    return 'any class' if len(possible) == len(classes) > 2 else ' or '.join(possible)


def _say(sentence: str) -> None:
    print(printable(f'alljax: {sentence}', keep=''), file=sys.stderr, flush=True)


def _parser() -> Parser:
    parser = Parser('predict', __doc__, 'alljax predict runs/my-run cells/ --csv probabilities.csv')
    parser.add_argument(
        'run',
        type=Path,
        metavar='RUN',
        help='a run folder, the folder of a cross-validation with a final model, or a model/ folder',
    )
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
