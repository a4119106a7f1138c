"""Finds the white cells of microscope fields, classifies them with a run's model, and counts them.

Every white cell gets a crop, which is classified as any picture is. Written to --to: cells.csv (field, place, class,
probabilities, marks), the crops, each field with boxes, and smear.html: the fields, all cells to sort, a differential
count with its intervals, and blasts per 100 white cells. The size of a white cell in the fields is told by the red
cells, unless --cell_pixels gives it.

--truth DIR names the folder of the fields with the cells that people marked there, in any format that `alljax crops`
reads: then precision, recall, F1, count error and average precision are said with intervals, and how often fields are
called blast or normal as they are labeled.
"""

from argparse import Namespace
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alljax.commands import Parser, find, tell, tell_final_model, warn_of_synthetic
from alljax.errors import UserError, printable, some

if TYPE_CHECKING:
    from alljax.fields.field_search import SearchedField
    from alljax.smear import Examined


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line a field and the count; the exit code is 1 if a field could not be read."""
    options = _parser().parse_args(arguments)
    find.refuse_wrong_size(options)
    find.refuse_without_truth(options)
    from alljax.data import image_files
    from alljax.fields import annotations, field_image, field_search
    from alljax.storage.disk_errors import new_folder_problem

    if problem := new_folder_problem(options.to, '--to'):
        raise UserError(problem)
    marked = {suffix for form in annotations.FORMATS.values() for suffix in form.suffixes} if options.truth else ()
    files = image_files.files(options.fields, field_image.SLIDES, marked)
    if options.detector:
        found = _examined(options, files)
    else:  # the search begins while all that a network needs is loaded
        with field_search.begun(files, options.cell_pixels or None) as search:
            found = _examined(options, files, search)
    for line in [*_count(found), *(found.scored.lines() if found.scored else [])]:
        print(printable(line, keep=''))
    from alljax.smear import PAGE

    tell(f'written: {options.to / PAGE}')
    failed = sum(bool(field.error) for field in found.fields)
    if failed:
        tell(f'{failed} of {len(files)} fields could not be read or searched')
    return int(failed > 0)


def _examined(options: Namespace, files: Sequence[Path], search: 'Iterable[SearchedField] | None' = None) -> 'Examined':
    """The cells of the files, and all that the run says of them."""
    from alljax import config, predict, smear
    from alljax.fields import detector
    from alljax.smear import truth
    from alljax.storage import cache

    if options.config:
        config.load(options.config)
    run = predict.load(options.run)
    blasts = _blasts(options.blasts, run.classes)
    cache.keep_compiled_programs()
    tell_final_model(options.run)
    if run.card.synthetic:
        warn_of_synthetic()
    marks = truth.read(find.asked_marks(options, options.truth)) if options.truth else None
    finder = detector.load(options.detector) if options.detector else None
    request = smear.Request(
        run, options.run, files, options.to, options.cell_pixels, blasts, marks, finder, begun=search
    )
    return smear.examine(request, lambda line: print(printable(line, keep=''), flush=True))


def _blasts(said: str | None, classes: Sequence[str]) -> list[str] | None:
    """The classes that are blasts; None where the user leaves it to their names."""
    if said is None:
        return None
    names = [name.strip() for name in said.split(',') if name.strip()]
    if unknown := [name for name in names if name not in classes]:
        raise UserError(f'--blasts {said}: {some(unknown)} is no class of this model; they are {some([*classes], 20)}')
    return names


def _count(found: 'Examined') -> list[str]:
    """The differential count as lines of a table."""
    counted = found.differential
    if not counted.shares:
        return ['no white cell was counted']
    widest = max(len(one.name) for one in counted.shares)
    lines = [f'{counted.counted} white {"cell" if counted.counted == 1 else "cells"} counted']
    for one in counted.shares:
        low, high = one.interval
        lines.append(f'  {one.name:{widest}}  {one.cells:5}  {one.share:6.1%}  ({low:.1%} to {high:.1%})')
    if counted.blasts:
        low, high = counted.blasts.interval
        lines.append(
            f'blasts per 100 white cells: {100 * counted.blasts.share:.0f} ({100 * low:.0f} to {100 * high:.0f})'
        )
    if counted.unlike:
        are = 'is' if counted.unlike == 1 else 'are'
        lines.append(f'{counted.unlike} more {are} unlike the training cells, and not counted')
    return lines


def _parser() -> Parser:
    parser = Parser('smear', __doc__, 'alljax smear runs/my-run fields/ --to smear')
    parser.add_run()
    parser.add_argument('fields', type=Path, nargs='+', metavar='FIELD', help='fields, or folders of them')
    parser.add_argument(
        '--to', type=Path, metavar='DIR', default=Path('smear'), help='a new or empty folder (default smear)'
    )
    find.add_search(parser)
    parser.add_argument(
        '--blasts', metavar='NAMES', help="the classes that are blasts, as in 'L1,L2,L3' (default: those called so)"
    )
    parser.add_argument(
        '--truth', type=Path, metavar='DIR', help='the folder of the fields and their annotations, to score by'
    )
    find.add_marks(parser)
    parser.add_argument(
        '--field_labels', type=Path, metavar='CSV', help="field,label (blast or normal); else by ALL-IDB1's names"
    )
    parser.add_argument('--config', metavar='FILE', help='the config file that adds a network of your own')
    return parser
