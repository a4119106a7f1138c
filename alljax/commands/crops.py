"""Cuts marked cells out of whole microscope fields into a folder of crops, which audit, try and train read.

The marks are found beside the fields, or in a folder beside theirs: boxes as Pascal VOC, YOLO, COCO or CSV
(field,left,top,width,height,label), or centers as .xyc or CSV (field,x,y,label). A crop keeps the scale of its field,
unless --cell_pixels says how large a white cell is there; beyond the border it is completed by its mirror image. OUT
gets a folder for each class, cells.csv (file,label,group), and crops.json, which says what was cut.
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from alljax.commands import Parser, tell
from alljax.errors import UserError, printable, some

if TYPE_CHECKING:
    from alljax.fields.annotations import Annotations
    from alljax.fields.crops import CropOptions, Crops

BOXES = 'boxes'


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the crops and tells their classes; the exit code is 1 if anything was left out."""
    options = _parser().parse_args(arguments)
    from alljax.fields import annotations, crops

    found = annotations.read(options.fields, options.label, options.format)
    given = _crop_options(options, found)
    written = crops.write(options.out, found, given)
    for problem in (*found.problems, *written.problems):
        tell(problem)
    print(*(printable(line, keep='') for line in _summary(options.out, found, given, written)), sep='\n')
    return int(bool(found.problems or written.problems))


def _crop_options(options: Namespace, found: 'Annotations') -> 'CropOptions':
    from alljax.data.datasets import tables
    from alljax.fields import crops, field_groups

    marked = [marks.field for marks in found.marks]
    groups = field_groups.chosen(options.groups, options.group_pattern, marked)
    names: dict[str, str] = {}
    if options.names:
        problems: list[str] = []
        rows = tables.read(options.names, ('name',), problems, key='label')
        names = {label: row['name'] for label, row in rows.items() if row.get('name')}
        if unknown := [label for label in names if label not in found.labels()]:
            problems.append(f'{options.names}: no cell is labelled {some(unknown, 4)}; correct or delete the lines')
        if problems:
            raise UserError(*problems)
    unlabeled = options.unlabeled or ('blast' if crops.is_all_idb1(found) else 'cell')
    return crops.CropOptions(options.size, _cell_pixels(options.cell_pixels, found), groups, unlabeled, names)


def _cell_pixels(said: str, found: 'Annotations') -> float:
    from alljax.fields import crops

    if said == BOXES:
        return crops.median_cell(found)
    try:
        pixels = float(said or 0)
    except ValueError:
        pixels = -1.0
    if said and not 4 <= pixels <= 4000:
        raise UserError(f'--cell_pixels {said}: expected {BOXES}, or the pixels across a white cell, 4 to 4000')
    return pixels


def _summary(out: Path, found: 'Annotations', given: 'CropOptions', written: 'Crops') -> list[str]:
    from alljax.fields import crops

    classes = [f'{label} {count}' for label, count in sorted(written.counts.items())]
    count, size = sum(written.counts.values()), given.size
    fields = f'{written.fields} field{"s" * (written.fields != 1)}'
    lines = [f'{count} crops of {size} × {size} pixels from {fields} ({found.format}) in {out}']
    lines.append(f'classes: {some(classes, 12)}')
    if given.cell_pixels:
        before, after = f'{given.cell_pixels:.0f}', f'{crops.CELL_PIXELS:.0f}'
        lines.append(f'scale: a white cell of {before} pixels becomes one of {after}, as in ALL-IDB2')
    lines += [f'note: {note}' for note in found.notes]
    if found.format == 'yolo' and all(label.isdigit() for label in written.counts):
        lines.append('note: no file names the classes, so they stay numbers; name them with --names CSV (label,name)')
    if crops.is_all_idb1(found):
        lines.append('note: ALL-IDB1 marks its blasts only; ALL-IDB2 is cut out of the same fields: never test on it')
    if given.groups is None:
        lines.append(
            'note: the group of a crop is its field; where a slide has several, name it by --groups or --group_pattern'
        )
    if len(written.counts) == 1:
        lines.append('note: there is one class only, and two are needed to train')
    return [*lines, f'next: alljax audit {out}']


def _parser() -> Parser:
    parser = Parser('crops', __doc__ or '', 'alljax crops /path/to/BCCD crops --label WBC --cell_pixels boxes')
    parser.add_argument('fields', type=Path, metavar='FIELDS', help='folder of fields and their annotations')
    parser.add_argument('out', type=Path, metavar='OUT', help='folder to write, new or empty')
    parser.add_argument('--format', default='auto', metavar='NAME', help='pascal_voc, yolo, coco, csv or xyc')
    parser.add_argument(
        '--label',
        action='append',
        default=[],
        metavar='LABEL',
        help='take cells of this label, once or more (default: all but red cells and platelets)',
    )
    parser.add_argument('--names', type=Path, metavar='CSV', help='classes of other names than labels (label,name)')
    parser.add_argument('--unlabeled', metavar='CLASS', help='class of cells without a label (default: cell)')
    parser.add_argument('--size', type=int, default=257, help='pixels a side of a crop (default 257)')
    parser.add_argument(
        '--cell_pixels',
        default='',
        metavar='N',
        help='pixels across a white cell in the fields, or "boxes" for the median box: brought to the size in ALL-IDB2',
    )
    parser.add_argument('--groups', type=Path, metavar='CSV', help='patient or slide of each field (field,group)')
    parser.add_argument(
        '--group_pattern', metavar='REGEX', help='part of a field\'s name that is its patient or slide, as "^(.+)_"'
    )
    return parser
