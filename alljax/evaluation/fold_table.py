"""The part of a page about the folds of a cross-validation: each with its result and a link to its own page."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from alljax.evaluation import formatting

LEAVE_ONE = 'leave_one_group_out'


class Line(NamedTuple):
    """A line of the table."""

    name: str
    address: str  # of its report.html, relative to the page
    accuracy: str
    n: int
    groups: int
    trained: str  # the cells that train, and the copies of them


def name(protocol: str, folds: int, repeats: int) -> str:
    """The name of several runs of one config on parts of the cells, such as '5-fold cross-validation, 3 times'."""
    if folds < 2:
        return f'one split, drawn {repeats} times'
    whole = 'leave-one-group-out cross-validation' if protocol == LEAVE_ONE else f'{folds}-fold cross-validation'
    return f'{whole}, {repeats} times' if repeats > 1 else whole


def section(known: Mapping[str, Any], template: jinja2.Template, *, leaky: bool) -> Markup:
    """The part of the page, from the `cross_validation` of results.json; `leaky` splits have copies on both sides."""
    lines = [
        Line(
            _name(one, repeated=known['repeats'] > 1),
            quote(f'{one["folder"]}/report.html'),
            formatting.percent(one['accuracy'], one['n']),
            one['n'],
            one['groups'],
            _trained(one, leaky=leaky),
        )
        for one in known['folds']
    ]
    return Markup(template.render(known=known, lines=lines))


def _name(fold: Mapping[str, Any], *, repeated: bool) -> str:
    """The fold and the repetition, from 1 as in all words, and the folder, which counts from 0."""
    repetition = f', repetition {fold["repeat"] + 1}' if repeated else ''
    return f'fold {fold["fold"] + 1}{repetition} ({PurePosixPath(fold["folder"]).name})'


def _trained(fold: Mapping[str, Any], *, leaky: bool) -> str:
    if leaky or not fold['copies']:
        return f'{fold["train_n"]:,}'
    return f'{fold["train_n"] - fold["copies"]:,} + {fold["copies"]:,} copies'
