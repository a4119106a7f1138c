"""Found against marked white cells of many fields: by their middles and by their boxes, with intervals over groups."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from alljax.fields import matching
from alljax.fields.boxes import Marks
from alljax.fields.matching import Comparison, Measures
from alljax.fields.white_cells import Found

SEED = 0  # of the resampling
HALF_A_CELL, BOX = 'half a cell', 'IoU 0.5'  # the criteria
NAMES = {
    'precision': ('precision', 'of the cells that were found, the share that is marked'),
    'recall': ('recall', 'of the cells that are marked, the share that was found'),
    'f1': ('F1', 'harmonic mean of the two'),
    'count_error': ('count error', 'found less marked cells, as a share of the marked'),
    'average_precision': ('average precision', 'the precision, averaged over all recalls that were reached'),
}  # of a measure, and what it is


class Row(NamedTuple):
    """A measure as a table shows it."""

    name: str
    remark: str  # what it is
    numbers: tuple[str, ...]  # by each criterion, with its interval


class ComparedField(NamedTuple):
    """The found and the marked white cells of one field."""

    field: str
    group: str  # the patient or slide of the field, else the field
    by_center: Comparison
    by_box: Comparison | None  # None where only centers were marked


class Score(NamedTuple):
    """The white cells found in some fields against the marked ones, by one criterion."""

    criterion: str
    fields: int
    groups: int
    marked: int
    found: int
    measures: Measures
    low: Measures  # ends of the 95 % intervals over groups; NaN where there is none
    high: Measures


def compared(found: Found, marks: Marks, cell_pixels: float, group: str) -> ComparedField:
    """A field's found cells against its marked ones; `cell_pixels` is the diameter of a white cell in the field."""
    return ComparedField(
        marks.field,
        group,
        matching.by_centers(found, marks.centers, cell_pixels),
        None if marks.boxes is None else matching.by_boxes(found, marks),
    )


def scores(fields: Sequence[ComparedField]) -> list[Score]:
    """The score by each criterion that the marks allow: boxes need boxes in every field."""
    by_center = [field.by_center for field in fields]
    by_box = [field.by_box for field in fields if field.by_box is not None]
    found = [(HALF_A_CELL, by_center)] + [(BOX, by_box)] * (len(by_box) == len(fields))
    groups = [field.group for field in fields]
    return [_score(criterion, each, groups) for criterion, each in found if fields]


def lines(found: Sequence[Score]) -> list[str]:
    """The scores as sentences."""
    said = []
    for one in found:
        low, high = one.low, one.high
        of = f'{one.found} found, {one.marked} marked white cells of {_counted(one.fields, "field")}'
        grouped = f', {_counted(one.groups, "group")}' if one.groups != one.fields else ''
        said.append(f'by {one.criterion}: {of}{grouped}')
        for name, value, first, last in zip(Measures._fields, one.measures, low, high, strict=True):
            sign = '+' if name == 'count_error' else ''
            words = 'not defined' if math.isnan(value) else f'{value:{sign}.1%}'
            bounds = '' if math.isnan(first) else f'  ({first:{sign}.1%} to {last:{sign}.1%})'
            said.append(f'  {NAMES[name][0]:17}  {words:>6}{bounds}')
    return said


def table(found: Sequence[Score]) -> list[Row]:
    """Each measure by each criterion, as a page shows them."""
    return [Row(*NAMES[name], tuple(number(name, one) for one in found)) for name in Measures._fields]


def number(name: str, score: Score) -> str:
    """A measure with its interval, if it has one."""
    value, low, high = (getattr(part, name) for part in (score.measures, score.low, score.high))
    sign = '+' if name == 'count_error' else ''
    if math.isnan(value):
        return '—'
    return f'{value:{sign}.1%}' + ('' if math.isnan(low) else f' ({low:{sign}.1%} to {high:{sign}.1%})')


def about(found: Sequence[Score], fields: Sequence[ComparedField]) -> dict[str, Any]:  # JSON
    """The scores, and the counts of each field, as JSON has them; null for what is not defined."""
    return {
        'criteria': {
            one.criterion: {
                'fields': one.fields,
                'groups': one.groups,
                'marked': one.marked,
                'found': one.found,
                **{name: _number(value) for name, value in one.measures._asdict().items()},
                'ci95': {
                    name: None if math.isnan(low) else [low, high]
                    for name, low, high in zip(Measures._fields, one.low, one.high, strict=True)
                },
            }
            for one in found
        },
        'fields': [
            {
                'field': field.field,
                'group': field.group,
                'marked': field.by_center.marked,
                'found': len(field.by_center.hits),
                'hits': int(field.by_center.hits.sum()),
                'hits_by_box': None if field.by_box is None else int(field.by_box.hits.sum()),
            }
            for field in fields
        ],
    }


def _score(criterion: str, fields: Sequence[Comparison], groups: Sequence[str]) -> Score:
    low, high = matching.intervals(fields, groups, np.random.default_rng(SEED))
    return Score(
        criterion,
        len(fields),
        len(set(groups)),
        sum(field.marked for field in fields),
        sum(len(field.hits) for field in fields),
        matching.measures(fields),
        Measures(*low.tolist()),
        Measures(*high.tolist()),
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


def _counted(count: int, word: str) -> str:
    return f'{count} {word}{"s" * (count != 1)}'
