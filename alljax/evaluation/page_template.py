"""Templates of the pages: compiled once a process, all from outside escaped."""

from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

import jinja2

from alljax.evaluation import formatting

HERE = 'alljax.evaluation'


@cache
def load(name: str, room: str = HERE, **filters: Callable[..., Any]) -> jinja2.Template:
    """A template of a room, with the functions of `formatting`, and `filters`, as its filters.

    All from outside is escaped, and a missing value is an error. Markup of our own has to come as `markupsafe.Markup`.
    """
    made = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.filters |= {
        'percent': formatting.percent,
        'interval': formatting.interval,
        'probability': formatting.probability,
        'label': formatting.label,
        'value': formatting.value,
        'timestamp': formatting.timestamp,
        **filters,
    }
    return made.from_string(text(name, room))


def text(name: str, room: str = HERE) -> str:
    """The text of a template, style sheet or script of a room."""
    return resources.files(room).joinpath(name).read_text(encoding='utf-8')
