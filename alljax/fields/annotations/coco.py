"""COCO: one JSON file for many pictures, with `images`, `annotations` and `categories`; boxes in pixels."""

import json
from collections import defaultdict
from typing import Any

from alljax.fields.annotations.annotation_file import (
    AnnotationError,
    AnnotationFile,
    Format,
    Marked,
    numbers,
    with_boxes,
)


def recognize(text: str) -> bool:
    """True for an object of JSON that has images and annotations."""
    return text.lstrip().startswith('{') and '"images"' in text and '"annotations"' in text


def read(file: AnnotationFile) -> list[Marked]:
    """The boxes of every picture that the file lists; AnnotationError for what is missing or of another kind."""
    try:
        values = json.loads(file.text)
        names = {repr(entry['id']): str(entry.get('name', '')).strip() for entry in values.get('categories', [])}
        images = {repr(entry['id']): entry for entry in values['images']}  # an id may be of any kind
        found = [(entry['image_id'], entry.get('category_id'), entry.get('bbox')) for entry in values['annotations']]
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f'is damaged JSON ({error}); write it again with the program that made it') from None
    except (KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(f'is no COCO file ({type(error).__name__}: {error}); export it again') from None
    labels: dict[str, list[str]] = defaultdict(list)
    boxes: dict[str, list[list[float]]] = defaultdict(list)
    for number, (image, category, box) in enumerate(found, 1):
        where = f'annotation {number}'
        key = repr(image)
        if key not in images:
            raise AnnotationError(f'{where} is of picture {image}, which is not among the images; export it again')
        if not isinstance(box, list) or len(box) != 4:
            raise AnnotationError(f'{where} has no bbox of four numbers; export it again with boxes')
        boxes[key].append(numbers([*map(str, box)], where))
        labels[key].append(names.get(repr(category), '' if category is None else str(category)))
    return [
        with_boxes(str(entry.get('file_name', '')), labels[key], boxes[key])._replace(size=_size(entry))
        for key, entry in images.items()
    ]


def _size(entry: dict[str, Any]) -> tuple[int, int] | None:
    width, height = entry.get('width'), entry.get('height')
    return (width, height) if isinstance(width, int) and isinstance(height, int) and width and height else None


FORMAT = Format(('.json',), recognize, read, boxes=True, beside=False)
