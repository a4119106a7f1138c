"""CSV: one table for many pictures, a line a cell: `field,x,y` or `field,left,top,width,height`, and `label` if known.

Corners (`xmin,ymin,xmax,ymax`, as TensorFlow's tables have them) are read, too, and the columns may have other usual
names (COLUMNS). Coordinates are pixels.
"""

import re
from collections import defaultdict

from alljax.data.datasets import tables
from alljax.fields.annotations.annotation_file import (
    AnnotationError,
    AnnotationFile,
    Format,
    Marked,
    numbers,
    with_boxes,
    with_centers,
)

COLUMNS = {
    'field': ('field', 'file', 'filename', 'file_name', 'image', 'image_name', 'image_path', 'path', 'picture'),
    'label': ('label', 'class', 'class_name', 'cell_type', 'category', 'name', 'type'),
}
PLACES = (('left', 'top', 'width', 'height'), ('xmin', 'ymin', 'xmax', 'ymax'), ('x', 'y'))


def recognize(text: str) -> bool:
    """True for a header with a field and coordinates."""
    lines = [line for line in text.splitlines()[:3] if line.strip() and not re.match(r'"?sep=', line, re.IGNORECASE)]
    names = [name.strip().strip('"').lower() for name in re.split(r'[,;\t]', lines[0])] if lines else []
    return bool(_column('field', names) and _places(names))


def read(file: AnnotationFile) -> list[Marked]:
    """The cells of every field that the table names; AnnotationError names the line."""
    problems: list[str] = []
    lines = tables.lines(file.path, problems)
    if lines is None:
        raise AnnotationError(*(problem.removeprefix(f'{file.path}: ') for problem in problems))
    field, label, places = _column('field', lines.names), _column('label', lines.names), _places(lines.names)
    if places == PLACES[-1] and {'width', 'height'} & set(lines.names):
        raise AnnotationError(
            'has x, y beside width or height, so x, y may be the corner of a box or its center; call the columns left, '
            'top, width, height, or leave the sizes out'
        )
    labels: dict[str, list[str]] = defaultdict(list)
    found: dict[str, list[list[float]]] = defaultdict(list)
    for number, row in enumerate(lines.values, 2):
        if not row[field]:
            raise AnnotationError(f'line {number} names no {field}; add it, or delete the line')
        place = numbers([row[name] for name in places], f'line {number}')
        if places[0] == 'xmin':
            place = [place[0], place[1], place[2] - place[0], place[3] - place[1]]
        found[row[field]].append(place)
        labels[row[field]].append(row[label] if label else '')
    make = with_centers if len(places) == 2 else with_boxes
    return [make(name, labels[name], cells) for name, cells in found.items()]


def _column(meaning: str, names: list[str]) -> str:
    return next((name for name in COLUMNS[meaning] if name in names), '')


def _places(names: list[str]) -> tuple[str, ...]:
    return next((places for places in PLACES if set(places) <= set(names)), ())


FORMAT = Format(('.csv', '.tsv', '.tab'), recognize, read, boxes=True, beside=False)
