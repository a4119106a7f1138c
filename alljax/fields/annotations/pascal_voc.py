"""Pascal VOC: an XML file for each picture, as LabelImg writes it, with the corners of each box in pixels."""

import re
import xml.etree.ElementTree as ElementTree

from alljax.fields.annotations.annotation_file import (
    AnnotationError,
    AnnotationFile,
    Format,
    Marked,
    numbers,
    with_boxes,
)

CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')
DECLARATION = re.compile(r'^\s*<\?xml[^>]*\?>')  # names an encoding, and the text is decoded already


def recognize(text: str) -> bool:
    """True for XML whose root is an `annotation`."""
    return bool(re.match(r'\s*(<!--.*?-->\s*)*<annotation[\s>]', DECLARATION.sub('', text), re.DOTALL))


def read(file: AnnotationFile) -> list[Marked]:
    """The boxes of the one picture that the file names; AnnotationError for damaged XML."""
    try:
        root = ElementTree.fromstring(DECLARATION.sub('', file.text))
    except ElementTree.ParseError as error:
        raise AnnotationError(f'is damaged XML ({error}); write it again with the program that made it') from None
    objects = root.findall('object')
    boxes = [_box(found, number) for number, found in enumerate(objects, 1)]
    labels = [(found.findtext('name') or '').strip() for found in objects]
    name = (root.findtext('filename') or '').strip()
    size = [root.findtext(f'size/{side}') for side in ('width', 'height')]
    known = [int(float(text)) for text in size if text and re.fullmatch(r'\s*\d+(\.0*)?\s*', text)]
    marked = with_boxes(name, labels, boxes)
    return [marked._replace(size=(known[0], known[1]) if len(known) == 2 and all(known) else None)]


def _box(found: ElementTree.Element, number: int) -> list[float]:
    where = f'object {number}'
    corners = [(found.findtext(f'bndbox/{name}') or '').strip() for name in CORNERS]
    if not all(corners):
        missing = CORNERS[corners.index('')]
        raise AnnotationError(f'{where} has no {missing} in its bndbox; add it, or delete the object')
    left, top, right, bottom = numbers(corners, where)
    return [left, top, right - left, bottom - top]


FORMAT = Format(('.xml',), recognize, read, boxes=True, beside=True)
