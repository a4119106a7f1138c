"""The arguments about cells that people marked in fields, which several commands share."""

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from alljax.commands import Parser
from alljax.errors import UserError

if TYPE_CHECKING:
    from alljax.smear.truth import Asked

OF_MARKS = ('label', 'format', 'groups', 'group_pattern', 'field_labels')


def add(parser: Parser) -> None:
    """Adds the marks' labels, format and groups, and the detector that looks for cells."""
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
    parser.add_argument(
        '--detector',
        type=Path,
        metavar='DIR',
        help='a detector of configs/detect.py, which finds cells where colors do not tell them',
    )


def asked(options: Namespace, folder: Path) -> 'Asked':
    """The marks that were named."""
    from alljax.smear.truth import Asked

    labels = getattr(options, 'field_labels', None)
    return Asked(folder, options.label, options.format or 'auto', labels, options.groups, options.group_pattern)


def refuse_without_truth(options: Namespace) -> None:
    """UserError for arguments about marks where none are named."""
    given = [f'--{name}' for name in OF_MARKS if getattr(options, name, None)]
    if given and not options.truth:
        raise UserError(f'{", ".join(given)}: belongs to marked fields; name their folder with --truth DIR')
