"""Gives the class probabilities of images, by a trained network or a fitted classical system.

A model that was calibrated (config.calibration.fit) says 'uncertain' below the confidence that its card names, and
'unlike the training cells' of pictures that are. The probabilities of any other model are not calibrated: its
confidence says little about how often it is right.

Folders called as the model's classes are are scored as a test set is: accuracy with its interval, confusion matrix.
"""

import argparse
import io
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from alljax.commands import Parser, tell, tell_final_model, warn_of_synthetic
from alljax.errors import UserError, printable

if TYPE_CHECKING:
    from alljax.data.class_folders import KnownCells
    from alljax.predict import Predictor, Row, Table

PROGRESS = 500  # files between two lines on stderr


class Output(NamedTuple):
    """The places that rows go to."""

    run: 'Predictor'
    top: int  # classes that a line names
    total: int
    table: 'Table | None'
    kept: 'list[Row] | None'  # for what is written after the last row; None where nothing is


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line an image, then the score of those whose class is known; exit code 1 if any could not be read."""
    options = _parser().parse_args(arguments)
    if options.top < 1:
        raise UserError(f'--top {options.top}: expected 1 or more')
    from alljax import config, predict
    from alljax.data import class_folders, image_files
    from alljax.fields import whole_fields
    from alljax.storage import cache

    if options.config:
        config.load(options.config)
    run = predict.load(options.run)
    _refuse_outputs(options.csv, options.html)
    cache.keep_compiled_programs()
    tell_final_model(options.run)
    if run.card.synthetic:
        warn_of_synthetic()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors='backslashreplace')  # a name that the terminal's encoding does not hold
    files = image_files.files(options.paths)
    known = class_folders.known_cells(options.paths, run.classes)
    for problem in known.problems:
        tell(problem)
    output = Output(run, options.top, len(files), None, [] if known.cells or options.html else None)
    if not run.card.photograph and (said := whole_fields.sentence(files)):
        tell(said)
    rows = predict.predict(run, files, known=known.cells, thumbnails=bool(options.html))
    if options.csv:
        calibrated, labelled = run.card.calibration is not None, bool(known.cells)
        with predict.csv_table(options.csv, run.classes, calibrated=calibrated, labelled=labelled) as table:
            try:
                code = _tell(rows, output._replace(table=table))
            except BaseException:
                if table.file.lines > 1:
                    tell(f'{table.file.lines - 1} of {len(files)} rows are in {table.file.path}')
                raise
    else:
        code = _tell(rows, output)
    if output.kept is not None:
        _conclude(output, known, options)
    return code


def _refuse_outputs(csv: Path | None, html: Path | None) -> None:
    """UserError for a file that cannot be written, before the work."""
    if csv and (csv.is_dir() or not csv.absolute().parent.is_dir()):
        raise UserError(f'--csv {csv}: is a folder or lies in none that exists; name a file')
    if not html:
        return
    from alljax.predict import gallery

    if csv and csv.absolute() == html.absolute():
        raise UserError(f'--html {html}: is the file of --csv, too; name another')
    gallery.refuse_unwritable(html)


def _conclude(output: Output, known: 'KnownCells', options: argparse.Namespace) -> None:
    """Scores the rows whose class is known, and writes the gallery if it is asked for."""
    from alljax.predict import gallery, scoring
    from alljax.runs import own_cells

    assert output.kept is not None
    found = scoring.scored(output.kept, output.run.classes, known, own_cells.of_run(options.run))
    if found:
        for line in scoring.lines(found):
            tell(line)
        print(printable('\n'.join(scoring.table(found))), file=sys.stderr, flush=True)
    if options.html:
        gallery.write(options.html, gallery.Gallery(output.run, options.run, output.kept, found))
        tell(f'written: {options.html}')


def _tell(rows: Iterable['Row'], output: Output) -> int:
    """Prints and keeps each row as it comes; the exit code."""
    from alljax.data.training_likeness import UNKNOWN
    from alljax.runs.calibration import UNCERTAIN

    run, total, table = output.run, output.total, output.table
    errors = far = unknown = uncertain = 0
    for number, row in enumerate(rows, 1):
        if table:
            table.add(row)
        if output.kept is not None:
            output.kept.append(row)
        errors += bool(row.error)
        unknown += row.unlike == UNKNOWN
        far += row.is_unlike
        uncertain += row.answer == UNCERTAIN
        try:
            print(printable(_line(row, run.classes, output.top), keep=''), flush=True)
        except BrokenPipeError:  # whoever read the lines has seen enough, as `head` has
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            if not table and output.kept is None:
                return 1
        if number % PROGRESS == 0 and number < total:
            tell(f'{number} of {total} files' + (f', so far in {table.file.path}' if table else ''))
    if errors:
        tell(f'{errors} of {total} files could not be read')
    if far:
        tell(f'{far} of {total} pictures are unlike the training cells: their probabilities say little')
    if uncertain:
        tell(f'{uncertain} of {total} pictures are uncertain: {_limit(run)}')
    if unknown:
        tell('the model does not tell how its training cells look, so no picture is called unlike them; train it again')
    return int(errors > 0)


def _limit(run: 'Predictor') -> str:
    """The reason why answers are uncertain."""
    from alljax.storage.calibration_record import ANSWERS

    known = run.card.calibration
    assert known
    cells = f'on the {known.cells} cells that calibrated the model'
    if ANSWERS in known.refused:
        return f'{known.groups} groups of cells were too few to promise {known.accuracy:.0%} right answers'
    if known.certain is None:
        return f'no confidence reached an accuracy of {known.accuracy:.0%} {cells}'
    return f'their confidence is below {known.certain:.1%}, from which {known.accuracy:.0%} were right {cells}'


def _line(row: 'Row', classes: Sequence[str], top: int) -> str:
    from alljax import predict

    if row.probabilities is None:
        return f'{row.file}: error: {row.error}'
    best = (-row.probabilities).argsort(kind='stable')[:top]
    said = ', '.join(f'{classes[index]} {row.probabilities[index]:.1%}' for index in best)
    unlike = f'unlike the training cells: {row.unlike}' if row.is_unlike else ''
    if not row.answer:
        return f'{row.file}: {said}' + ''.join(f' ({note})' for note in (row.note, unlike) if note)
    if not unlike and row.answer in classes:
        return f'{row.file}: {said}' + (f' ({row.note})' if row.note else '')
    answer = unlike or f'{row.answer}: {predict.in_words(row.possible, classes)}'
    return f'{row.file}: {answer} ({said})' + (f' ({row.note})' if row.note else '')


def _parser() -> Parser:
    parser = Parser('predict', __doc__, 'alljax predict runs/my-run cells/ --csv probabilities.csv --html gallery.html')
    parser.add_run()
    parser.add_argument('paths', type=Path, nargs='+', metavar='PATH', help='images, or folders of them')
    parser.add_argument(
        '--csv',
        type=Path,
        metavar='FILE',
        help='writes all probabilities to this file, which grows as FILE.part until all rows are there',
    )
    parser.add_argument(
        '--html',
        type=Path,
        metavar='FILE',
        help='writes a page of all pictures with their probabilities and marks, the most uncertain first',
    )
    parser.add_argument('--config', metavar='FILE', help='the config file that adds a network of your own')
    parser.add_argument('--top', type=int, default=1, metavar='K', help='how many classes to print (default 1)')
    return parser
