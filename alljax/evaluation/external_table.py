"""The part of a run's page about another laboratory's cells: inside and outside side by side, with intervals."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jinja2
from markupsafe import Markup

from alljax.evaluation import formatting, intervals

BEGIN, END = '<!-- external tests -->', '<!-- end of external tests -->'
Results = Mapping[str, Any]  # the content of results.json, or a part of it


class Figure(NamedTuple):
    """A number of the table, as it is printed."""

    number: str
    interval: str = ''


class Side(NamedTuple):
    """A column of the table: the run's own test cells, or an external test."""

    heading: str
    test: Results
    leaky: bool
    certainty: Results  # the measures of its calibration; none for a model without one


MEASURES = (
    ('accuracy', 'Accuracy'),
    ('macro_recall', 'Macro recall'),
    ('calibration_error', 'Expected calibration error'),
    ('mean_confidence', 'Mean confidence'),
)
CERTAINTY = (  # of a calibrated model
    ('error_before', 'Calibration error before the temperature'),
    ('covered', 'Class in the set'),
    ('answered', 'Answered, not uncertain'),
    ('accuracy_of_answered', 'Accuracy of the answers'),
)


def section(results: Results, template: jinja2.Template) -> Markup:
    """The part of the page, between two comments by which it is found again; only these if there is no such test."""
    found = results.get('external', [])
    tests = [found] if isinstance(found, Mapping) else found
    if not tests:
        return Markup(f'{BEGIN}\n{END}')
    data = results['data']
    sides = [
        Side(
            f'inside: {formatting.set_name(data["name"], data.get("root", ""))}',
            results['test'],
            results['split']['leaky'],
            results.get('calibration', {}).get('test', {}),
        )
    ]
    sides += [Side(f'outside: {test["name"]}', test, test['leaky'], test.get('calibration', {})) for test in tests]
    calibrated = [
        (name, [Figure(formatting.percent(side.certainty.get(key), side.test['n'])) for side in sides])
        for key, name in CERTAINTY
        if any(side.certainty for side in sides)
    ]
    text = template.render(
        sides=sides,
        rows=[*((name, [_figure(side.test, key) for side in sides]) for key, name in MEASURES), *calibrated],
        recalls=[(name, [_recall(side.test, name) for side in sides]) for name in results['test']['per_class']],
        sentences=[overconfidence(side) for side in sides],
        tests=tests,
        of_folds='cross_validation' in results,
        groupings=formatting.GROUPINGS,
    )
    return Markup(f'{BEGIN}\n{text}\n{END}')


def put_into_page(page: str, part: str) -> str:
    """A page with the part in the place of an earlier one, else at the end of it."""
    if BEGIN not in page:
        return page.replace('</main>', f'{part}\n</main>', 1)
    return re.sub(f'{re.escape(BEGIN)}.*?{re.escape(END)}', lambda _: part, page, count=1, flags=re.DOTALL)


def overconfidence(side: Side) -> str:
    """The distance of mean confidence and accuracy in words."""
    confidence = side.test.get('mean_confidence')
    if confidence is None:
        return f'{side.heading}: this run, of an earlier release, does not tell its mean confidence.'
    gap = confidence - side.test['accuracy']
    return (
        f'{side.heading}: mean confidence {formatting.percent(confidence, side.test["n"])} is '
        f'{100 * abs(gap):.1f} points {"above" if gap >= 0 else "below"} the accuracy.'
    )


def _figure(test: Results, key: str) -> Figure:
    bounds = test.get(f'{key}_ci95')
    bounds = intervals.quoted(bounds) if isinstance(bounds, Mapping) else intervals.of_groups(bounds)
    return Figure(
        formatting.percent(test.get(key), test['n']), formatting.interval(bounds, test['n']) if bounds else ''
    )


def _recall(test: Results, name: str) -> Figure:
    row = test['per_class'].get(name, {'n': 0, 'recall': None})
    return Figure(formatting.percent(row['recall'], test['n']), f'n = {row["n"]:,}')
