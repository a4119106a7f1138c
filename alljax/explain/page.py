"""index.html: what each method marks on each cell, in one file that loads nothing."""

import math
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

import alljax
from alljax.data.image_files import Unread
from alljax.evaluation import formatting, report
from alljax.explain import images, overlays
from alljax.explain.measurements import Explained, areas, located
from alljax.explain.methods import METHODS, Options
from alljax.runs.network import TrainedNetwork

SHOWN = 100  # cells; a page of more takes long to open
BARS = 6  # classes of a cell; a thousand fit on no page


def render(
    run: TrainedNetwork, name: str, methods: Sequence[str], options: Options, cells: Sequence[Explained],
    unread: Sequence[Unread], notes: Sequence[str],
) -> str:  # fmt: skip
    """The page about some cells; `name` is the run's, `notes` are sentences about what was left out."""
    return fill(
        'page.html.jinja',
        run,
        name,
        {'area': area, 'share': share},
        methods={name: METHODS[name] for name in methods},
        layer=options.layer,
        uses_layer=any(METHODS[name].needs == 'map' for name in methods),
        signed=overlays.jpeg_uri(overlays.scale(True)),
        unsigned=overlays.jpeg_uri(overlays.scale(False)),
        blur=f'{images.BLUR:.0%}',
        located={name: located(cells, name) for name in methods},
        chance=areas(cells)[0],
        known=areas(cells)[1],
        empty={METHODS[name].title: _empty(cells, name) for name in methods if _empty(cells, name)},
        means={name: _means(cells, name) for name in methods},
        rows=[_row(one, run.classes) for one in cells[:SHOWN]],
        more=len(cells) - len(cells[:SHOWN]),
        cells=len(cells),
        unread=unread,
        notes=notes,
    )


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


def _means(cells: Sequence[Explained], method: str) -> tuple[float, float]:
    """Mean areas under the deletion and the insertion curve, of the cells that have them."""
    pairs = [(one.marked[method].deletion, one.marked[method].insertion) for one in cells]
    known = [pair for pair in pairs if not math.isnan(pair[0])]
    return tuple(np.mean(known, axis=0).tolist()) if known else (math.nan, math.nan)


def _empty(cells: Sequence[Explained], method: str) -> int:
    return sum(math.isnan(one.marked[method].deletion) for one in cells)


def _row(one: Explained, classes: tuple[str, ...]) -> dict[str, Any]:
    best = np.argsort(-one.probabilities, kind='stable')[:BARS].tolist()
    bars = [(classes[index], float(one.probabilities[index])) for index in best]
    return {
        'file': one.file,
        'name': Path(one.file).name,
        'note': one.note,
        'target': classes[one.target],
        'prediction': classes[best[0]],
        'cell': overlays.jpeg_uri(one.rgb),
        'bars': bars,
        'others': len(classes) - len(bars),
        'maps': [
            (METHODS[name].title, marked, overlays.jpeg_uri(
                overlays.overlay(one.rgb, marked.map, METHODS[name].signed)))
            for name, marked in one.marked.items()
        ],
        'curves': report.data_uri(overlays.curves(one, classes[one.target])),
    }  # fmt: skip
