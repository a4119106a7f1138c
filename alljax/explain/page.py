"""A page about a run, in one file that loads nothing, from a template of this room."""

import math
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

from markupsafe import Markup

import alljax
from alljax.evaluation import formatting, report
from alljax.runs.network import TrainedNetwork


def fill(template: str, run: TrainedNetwork, name: str, filters: Mapping[str, Callable[..., Any]], **facts: Any) -> str:
    """A page about a run from a template of this room; `filters` and `facts` are what the template asks for."""
    environment = report.environment()
    environment.filters |= filters
    text = resources.files('alljax.explain').joinpath(template).read_text(encoding='utf-8')
    return environment.from_string(text).render(
        css=Markup(report.resource('report.css')),
        version=alljax.__version__,
        name=name,
        network=run.model.name,
        synthetic=run.card.synthetic,
        **facts,
    )


def area(value: float) -> str:
    """An area under a curve, or a dash for a map that ranks no pixel."""
    return formatting.MISSING if math.isnan(value) else f'{value:.2f}'


def share(value: float) -> str:
    """A share in whole percent, or a dash."""
    return formatting.MISSING if math.isnan(value) else f'{value:.0%}'
