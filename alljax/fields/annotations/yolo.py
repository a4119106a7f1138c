"""YOLO: a text file for each picture, `class x y width height` a line, centers and sizes as shares of the picture.

A polygon (`class x1 y1 x2 y2 …`) counts as the box about it. The class is a number; its name is looked up in
classes.txt, obj.names or data.yaml beside the file or in a folder above it, and stays a number where there is none.
"""

from pathlib import Path

import numpy as np
import yaml

from alljax.fields.annotations.annotation_file import (
    AnnotationError,
    AnnotationFile,
    Format,
    Marked,
    data_lines,
    numbers,
    with_boxes,
)

NAMES = ('classes.txt', 'obj.names', 'data.yaml', 'dataset.yaml')  # files that name the classes


def recognize(text: str) -> bool:
    """True where the first line is a class number and four or more shares, or where there is none."""
    lines = data_lines(text)
    if not lines:
        return True  # a field without cells
    try:
        found = [float(word) for word in lines[0][1]]
    except ValueError:
        return False
    whole = found[0] == int(found[0]) >= 0
    return len(found) >= 5 and whole and all(-0.5 <= share <= 1.5 for share in found[1:])


def read(file: AnnotationFile) -> list[Marked]:
    """The boxes of the picture that the file is called like, in shares of it; AnnotationError names the line."""
    names = class_names(file.path.parent, file.root)
    labels, boxes = [], []
    for number, words in data_lines(file.text):
        where = f'line {number}'
        found = numbers(words, where)
        if len(found) != 5 and (len(found) < 7 or len(found) % 2 == 0):
            raise AnnotationError(f'{where} has {len(found)} numbers, expected class x y width height')
        if found[0] != int(found[0]) or found[0] < 0:
            raise AnnotationError(f'{where} begins with {words[0]}, expected the number of a class')
        kind = int(found[0])
        if names and kind not in names:
            raise AnnotationError(f'{where} is of class {kind}, but the classes are 0 to {max(names)}; add its name')
        labels.append(names.get(kind, str(kind)))
        boxes.append(_box(found[1:]))
    return [with_boxes('', labels, boxes)._replace(fractions=True)]


def class_names(folder: Path, root: Path) -> dict[int, str]:
    """The name of each class number, from the nearest file of NAMES, up to `root`; empty where there is none.

    AnnotationError for a damaged data.yaml.
    """
    for place in (folder, *folder.parents):
        for name in NAMES:
            if (place / name).is_file():
                text = (place / name).read_text(encoding='utf-8-sig', errors='replace')
                return _of_yaml(place / name, text) if name.endswith('.yaml') else _of_lines(text)
        if place == root:
            break
    return {}


def _box(found: list[float]) -> list[float]:
    if len(found) == 4:
        x, y, width, height = found
        return [x - width / 2, y - height / 2, width, height]
    points = np.array(found).reshape(-1, 2)
    low, high = points.min(0), points.max(0)
    return [*low.tolist(), *(high - low).tolist()]


def _of_lines(text: str) -> dict[int, str]:
    return {number: line.strip() for number, line in enumerate(text.strip().splitlines())}


def _of_yaml(path: Path, text: str) -> dict[int, str]:
    """The `names` of a data.yaml, a list or a mapping by number; none where it has none."""
    try:
        found = yaml.safe_load(text)
        names = found.get('names') if isinstance(found, dict) else None
        entries = names.items() if isinstance(names, dict) else enumerate(names or ())
        return {int(number): str(name).strip() for number, name in entries}
    except (yaml.YAMLError, ValueError, TypeError) as error:
        said = ' '.join(f'{error}'.split())[:120]
        raise AnnotationError(
            f'cannot be read, since {path.name} names no classes by number ({said}); correct {path.name}'
        ) from None


FORMAT = Format(('.txt',), recognize, read, boxes=True, beside=True)
