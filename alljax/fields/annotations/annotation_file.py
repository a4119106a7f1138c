"""The records that all annotation formats share: a file, what it says of a field, and how a format is read."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alljax.fields.boxes import Boxes, Centers, centers_of


class AnnotationError(ValueError):
    """The fault of an annotation file, and the fix, without the file's name."""


class AnnotationFile(NamedTuple):
    """A file that may hold annotations."""

    root: Path  # the folder that is read
    file: str  # relative to it, '/' between folders
    text: str

    @property
    def path(self) -> Path:
        """Its place on the disk."""
        return self.root / self.file


class Marked(NamedTuple):
    """The cells of one field as an annotation file says, before the field's picture is looked up."""

    field: str  # the name of its picture; '' where the file says none, and is called like it
    labels: tuple[str, ...]
    centers: Centers
    boxes: Boxes | None
    size: tuple[int, int] | None = None  # width and height of the picture; None where the file does not say
    fractions: bool = False  # coordinates are shares of the picture's width and height, not pixels


class Format(NamedTuple):
    """An annotation format."""

    suffixes: tuple[str, ...]  # of files that may be of it
    recognize: Callable[[str], bool]  # true for the text of a file of this format, be it damaged further down
    read: Callable[[AnnotationFile], list[Marked]]  # AnnotationError for a damaged file
    boxes: bool  # it marks boxes, not centers only
    beside: bool  # a file is about one field, and is called like its picture


def with_boxes(field: str, labels: Sequence[str], boxes: Sequence[Sequence[float]]) -> Marked:
    """A field whose cells are marked by left, top, width and height."""
    array = np.array(boxes, float).reshape(-1, 4)
    return Marked(field, tuple(labels), centers_of(array), array)


def with_centers(field: str, labels: Sequence[str], centers: Sequence[Sequence[float]]) -> Marked:
    """A field whose cells are marked by x and y."""
    return Marked(field, tuple(labels), np.array(centers, float).reshape(-1, 2), None)


def numbers(words: Sequence[str], where: str) -> list[float]:
    """Finite numbers, with a decimal point or, as some spreadsheets write, a comma; AnnotationError for others."""
    try:
        found = [float(word.replace(',', '.')) for word in words]
    except ValueError:
        found = []
    if not words or not np.isfinite(found).all() or len(found) != len(words):
        raise AnnotationError(f'{where} has {" ".join(words)[:60]!r}, expected numbers; correct or delete it')
    return found


def data_lines(text: str) -> list[tuple[int, list[str]]]:
    """The words of each line that is not empty, with its number from 1."""
    lines = enumerate(text.splitlines(), 1)
    return [(number, words) for number, line in lines if (words := line.split())]
