"""Finds the white cells of fields in which people marked them, and says how well it does.

FIELDS is a folder of fields with boxes (Pascal VOC, YOLO, COCO, CSV) or centers (.xyc, CSV), as `alljax crops` reads
them. Printed are precision, recall, F1, count error and average precision of all fields together, by the middle of a
cell (half a cell away at most) and by its box (intersection over union of 0.5), each with its 95 % interval over
groups. No model of classes is needed; `alljax smear --truth` scores the classes of fields as well.
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alljax.commands import Parser, tell
from alljax.errors import UserError, printable

if TYPE_CHECKING:
    from alljax.smear.truth import Asked

SMALLEST, LARGEST = 8, 4000  # pixels across a white cell that may be given
OF_MARKS = ('label', 'format', 'groups', 'group_pattern', 'field_labels')  # arguments that smear takes, too


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints a line a field and the scores; the exit code is 1 if a field could not be searched."""
    options = _parser().parse_args(arguments)
    refuse_wrong_size(options)
    from alljax.fields import detector, field_search
    from alljax.smear import truth
    from alljax.storage.atomic import write_json
    from alljax.storage.disk_errors import disk_errors_explained

    if options.json and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
        raise UserError(f'--json {options.json}: is a folder or lies in none that exists; name a file')
    marks = truth.read(asked_marks(options, options.fields), 'FIELDS')
    trained = detector.load(options.detector) if options.detector else None
    notes = truth.of_detector(trained, marks) if trained else []
    files = [marks.found.root / one.field for one in marks.found.marks]
    finder = detector.finder(trained) if trained else None
    with field_search.begun(files, options.cell_pixels or None, finder) as search:
        fields = field_search.all_of(
            search, len(files), lambda field: print(printable(field_search.line(field), keep=''), flush=True)
        )
    found = truth.scored(marks, fields, notes=notes)
    print(printable('\n'.join(found.lines())))
    if options.json:
        with disk_errors_explained(options.json):
            write_json(options.json, found.about())
        tell(f'written: {options.json}')
    failed = sum(bool(field.error) for field in fields)
    if failed:
        tell(f'{failed} of {len(fields)} fields could not be searched, and are in no score')
    return int(failed > 0)


def _parser() -> Parser:
    parser = Parser('find', __doc__ or '', 'alljax find /path/to/BCCD --label WBC --json scores.json')
    parser.add_argument('fields', type=Path, metavar='FIELDS', help='folder of fields and their annotations')
    add_search(parser)
    add_marks(parser)
    parser.add_argument('--json', type=Path, metavar='FILE', help='writes the scores, and the counts of each field')
    return parser


def add_search(parser: Parser) -> None:
    """Adds how large a white cell is, and what looks for them."""
    parser.add_argument(
        '--cell_pixels',
        type=float,
        metavar='N',
        default=0.0,
        help='the diameter of a white cell in the fields, in pixels; else estimated from the red cells of each field',
    )
    parser.add_argument(
        '--detector',
        type=Path,
        metavar='DIR',
        help='a detector of configs/detect.py, which finds cells where colors do not tell them',
    )


def refuse_wrong_size(options: Namespace) -> None:
    """UserError for a white cell of a size that none has."""
    if options.cell_pixels and not SMALLEST <= options.cell_pixels <= LARGEST:
        raise UserError(
            f'--cell_pixels {options.cell_pixels:g}: expected {SMALLEST} to {LARGEST}, the pixels across a white cell'
        )


def add_marks(parser: Parser) -> None:
    """Adds the marks' labels, format and groups."""
    parser.add_argument(
        '--label',
        action='append',
        default=[],
        metavar='LABEL',
        help='marked cells of this label count, once or more (default: all but red cells and platelets)',
    )
    parser.add_argument('--format', metavar='NAME', help='of the marks: pascal_voc, yolo, coco, csv or xyc')
    parser.add_argument('--groups', type=Path, metavar='CSV', help='patient or slide of each field (field,group)')
    parser.add_argument(
        '--group_pattern', metavar='REGEX', help='part of a field\'s name that is its patient or slide, as "^(.+)_"'
    )


def asked_marks(options: Namespace, folder: Path) -> 'Asked':
    """The marks that were named."""
    from alljax.smear.truth import Asked

    labels = getattr(options, 'field_labels', None)
    return Asked(folder, options.label, options.format or 'auto', labels, options.groups, options.group_pattern)


def refuse_without_truth(options: Namespace) -> None:
    """UserError for arguments about marks where none are named."""
    given = [f'--{name}' for name in OF_MARKS if getattr(options, name, None)]
    if given and not options.truth:
        raise UserError(f'{", ".join(given)}: belongs to marked fields; name their folder with --truth DIR')
