"""The marks of one field against its picture: what cannot be right is told and left out."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from alljax.errors import some
from alljax.fields.annotations.annotation_file import Marked
from alljax.fields.boxes import Boxes, Centers, Marks

SLACK = 2.0  # pixels that a box may reach beyond the picture without a word: tools round, and count from 0 or from 1


class Checked(NamedTuple):
    """The usable marks of a field, and what was wrong with others."""

    marks: Marks
    problems: list[str]  # without the annotation's name


def checked(marked: Marked, field: str, size: tuple[int, int]) -> Checked | str:
    """The marks in pixels of the picture `field` of this width and height; a sentence where all are unusable."""
    if marked.size and marked.size != size:
        turned = ', turned by a quarter' if marked.size == size[::-1] else ''
        return (
            f'is about a picture of {marked.size[0]} × {marked.size[1]} pixels{turned}, but {field} has {size[0]} × '
            f'{size[1]}; mark the cells again on this picture, or put the other in its place'
        )
    scale = np.array(size if marked.fractions else (1, 1), float)
    centers = marked.centers * scale
    boxes = None if marked.boxes is None else marked.boxes * np.tile(scale, 2)
    labels = np.array([*marked.labels], object)
    problems: list[str] = []
    kept = np.ones(len(labels), bool)
    for bad, reason in _faults(centers, boxes, size):
        problems += _told(kept & bad, centers, labels, reason)
        kept &= ~bad
    if any(labels[kept]):  # a file without any label is of a format that has none
        without = np.array([not label for label in labels], bool)
        problems += _told(kept & without, centers, labels, 'has no class; name it, or delete the mark')
        kept &= ~without
    twice = _repeated(centers, boxes, labels, kept)
    problems += _told(twice, centers, labels, 'is marked twice; one is taken, delete the other')
    kept &= ~twice
    if boxes is not None:
        boxes = _clipped(boxes[kept], size)
    return Checked(Marks(field, centers[kept], tuple(labels[kept]), boxes), problems)


def _faults(
    centers: Centers, boxes: Boxes | None, size: tuple[int, int]
) -> list[tuple[Bool[np.ndarray, ' cells'], str]]:
    found: list[tuple[np.ndarray, str]] = []
    if boxes is not None:
        found.append((np.asarray((boxes[:, 2:] <= 0).any(1)), 'has no width or no height; draw it again, or delete it'))
    outside = np.asarray(((centers < 0) | (centers > np.array(size))).any(1))
    found.append((outside, f'lies outside of the picture ({size[0]} × {size[1]}); correct or delete it'))
    if boxes is not None:
        beyond = ((boxes[:, :2] < -SLACK) | (boxes[:, :2] + boxes[:, 2:] > np.array(size) + SLACK)).any(1)
        larger = np.asarray(beyond & (boxes[:, 2:] > 1.5 * np.array(size)).any(1))
        found.append((larger, f'is larger than the picture ({size[0]} × {size[1]}); correct or delete it'))
    return found


def _told(bad: Bool[np.ndarray, ' cells'], centers: Centers, labels: np.ndarray, reason: str) -> list[str]:
    if not bad.any():
        return []
    cells = [
        f'{labels[cell] or "a mark"} at {centers[cell][0]:.0f}, {centers[cell][1]:.0f}' for cell in np.flatnonzero(bad)
    ]
    return [f'{some(cells, 3)} {reason}']


def _repeated(
    centers: Centers, boxes: Boxes | None, labels: np.ndarray, kept: Bool[np.ndarray, ' cells']
) -> Bool[np.ndarray, ' cells']:
    """True for a mark that an earlier one of the same class equals, to half a pixel."""
    places = centers if boxes is None else boxes
    seen: set[tuple[object, ...]] = set()
    twice = np.zeros(len(labels), bool)
    for cell in np.flatnonzero(kept):
        key = (labels[cell], *np.round(2 * places[cell]).tolist())
        twice[cell] = key in seen
        seen.add(key)
    return twice


def _clipped(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    low = np.clip(boxes[:, :2], 0, size)
    high = np.clip(boxes[:, :2] + boxes[:, 2:], 0, size)
    return np.concatenate([low, high - low], 1)
