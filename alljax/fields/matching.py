"""Cells that were found against cells that people marked: what was hit, what was missed, how sure that is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Float

from alljax.fields.boxes import Centers, Marks, iou
from alljax.fields.white_cells import Found

OVERLAP = 0.5  # intersection over union at which a box is a hit
HALF = 0.5  # cell diameters between the centers at which a center is a hit
RESAMPLES = 2000
LEVEL = 0.95


class Comparison(NamedTuple):
    """One field, by one criterion: which found cells are hits, and how many cells were marked."""

    hits: Bool[np.ndarray, ' found']
    confidences: Float[np.ndarray, ' found']
    marked: int


class Measures(NamedTuple):
    """Of many fields together; NaN where nothing was found or nothing marked."""

    precision: float
    recall: float
    f1: float
    count_error: float  # found less marked cells, as a part of the marked
    average_precision: float


def by_boxes(found: Found, marks: Marks, overlap: float = OVERLAP) -> Comparison:
    """The found cells whose box is that of a marked cell, one each; ValueError for marks without boxes."""
    if marks.boxes is None:
        raise ValueError('cells that are marked by their centers have no boxes; compare the centers')
    return _compared(found, iou(found.boxes, marks.boxes), overlap)


def by_centers(found: Found, centers: Centers, cell_pixels: float, distance: float = HALF) -> Comparison:
    """The found cells whose center is within a part of a cell's diameter of a marked center, one each."""
    away = np.hypot(*(found.centers[:, None] - centers[None]).transpose(2, 0, 1)) / cell_pixels
    return _compared(found, distance - away, 0.0)


def measures(fields: Sequence[Comparison]) -> Measures:
    """Precision, recall, F1, count error and average precision of all cells of all fields."""
    hits = np.concatenate([field.hits for field in fields]) if fields else np.zeros(0, bool)
    marked = sum(field.marked for field in fields)
    precision, recall = _ratio(hits.sum(), len(hits)), _ratio(hits.sum(), marked)
    f1 = _ratio(2 * hits.sum(), len(hits) + marked)
    return Measures(precision, recall, f1, _ratio(len(hits) - marked, marked), _average_precision(fields, marked))


def intervals(
    fields: Sequence[Comparison], groups: Sequence[str], generator: np.random.Generator, resamples: int = RESAMPLES
) -> Float[np.ndarray, '2 measures']:
    """The 95 % interval of each measure: lower and upper ends, by resampling whole groups (fields, slides, patients).

    NaN with fewer than two groups: one group says nothing of others. Where no group differs from another, resampling
    gives a point, which would claim certainty: precision and recall have Wilson's interval then, the others NaN.
    """
    names = sorted(set(groups))
    if len(names) < 2:
        return np.full((2, len(Measures._fields)), np.nan)
    members = [[field for field, group in zip(fields, groups, strict=True) if group == name] for name in names]
    drawn = generator.integers(len(names), size=(resamples, len(names)))
    values = [measures([field for place in row for field in members[place]]) for row in drawn]
    ends = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
    bounds = np.nanquantile(np.array(values), ends, axis=0)
    bounds[:, bounds[0] == bounds[1]] = np.nan
    hits, found = sum(int(field.hits.sum()) for field in fields), sum(len(field.hits) for field in fields)
    for place, total in ((0, found), (1, sum(field.marked for field in fields))):
        if np.isnan(bounds[0, place]) and total:
            bounds[:, place] = _wilson(hits, total)
    return bounds


def _compared(found: Found, nearness: Float[np.ndarray, 'found marked'], least: float) -> Comparison:
    """Pairs found with marked cells so that most are hits, and among those the nearest."""
    possible = nearness >= least
    bonus = 1 + float(np.abs(nearness[possible]).sum()) if possible.any() else 1.0
    worth = np.where(possible, bonus + nearness, 0.0)
    rows, columns = scipy.optimize.linear_sum_assignment(worth, maximize=True)
    hits = np.zeros(len(found.boxes), bool)
    hits[rows[possible[rows, columns]]] = True
    return Comparison(hits, found.confidences, nearness.shape[1])


def _average_precision(fields: Sequence[Comparison], marked: int) -> float:
    """The area under precision over recall, each precision the best at that recall or more [PASCAL VOC 2010]."""
    if not marked:
        return float('nan')
    order = np.argsort(-np.concatenate([field.confidences for field in fields]), kind='stable')
    hits = np.concatenate([field.hits for field in fields])[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((best * hits).sum() / marked)


def _ratio(part: int | np.integer, whole: int) -> float:
    return float(part) / float(whole) if whole else float('nan')


def agreement(calls: Sequence[str], labels: Sequence[str]) -> tuple[float, float, float]:
    """The share of fields whose call is their label, with Wilson's 95 % interval; NaN without fields.

    It takes fields as independent: give one call a patient where several fields are of one.
    """
    right = sum(call == label for call, label in zip(calls, labels, strict=True))
    if not calls:
        return float('nan'), float('nan'), float('nan')
    return right / len(calls), *_wilson(right, len(calls))


def _wilson(right: int, total: int) -> tuple[float, float]:
    interval = scipy.stats.binomtest(right, total).proportion_ci(LEVEL, method='wilson')
    return float(interval.low), float(interval.high)
