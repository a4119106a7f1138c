"""index.html: the heat map of each method on each cell, in one file that loads nothing."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alljax.errors import UserError
from alljax.evaluation import heat_maps, report
from alljax.explain import border, images, overlays
from alljax.explain.measurements import Explanation, mean_region_areas, mean_region_scores
from alljax.explain.methods import METHODS
from alljax.explain.page import area, fill, share, shortcut_sentences
from alljax.explain.request import CheckedRequest
from alljax.explain.true_class import TrueClass
from alljax.runs.layer_words import in_words
from alljax.runs.map_layer import last_map_layer, shape_at
from alljax.runs.training_shortcuts import TrainingShortcuts

SHOWN = 100  # cells; a page of more takes long to open
BARS = 6  # classes of a cell; a thousand fit on no page


def render(request: CheckedRequest, cells: Sequence[Explanation], shortcuts: TrainingShortcuts | None) -> str:
    """The page about one cell or more; `shortcuts` of the training cells stand beside maps that ring the border."""
    run, methods = request.run, list(cells[0].maps)
    region_areas, known = mean_region_areas(cells)
    return fill(
        'heat_map_page.html.jinja',
        run,
        request.name,
        {'area': area, 'share': share},
        methods={name: METHODS[name] for name in methods},
        layer=_layer(request),
        uses_layer=any(METHODS[name].needs == 'map' for name in methods),
        signed=overlays.jpeg_uri(heat_maps.scale(True)),
        unsigned=overlays.jpeg_uri(heat_maps.scale(False)),
        blur=f'{images.BLUR:.0%}',
        region_scores={name: mean_region_scores(cells, name) for name in methods},
        region_areas=region_areas,
        known=known,
        empty={METHODS[name].title: _empty(cells, name) for name in methods if _empty(cells, name)},
        means={name: _means(cells, name) for name in methods},
        ringing={METHODS[name].title: sum(border.rings(cell.maps[name].map) for cell in cells) for name in methods},
        even=border.even_share(run.model.input.size),
        margin=border.MARGIN,
        shortcuts=shortcut_sentences(shortcuts) if shortcuts else [],
        rows=[_row(cell, run.classes, request.true_classes) for cell in cells[:SHOWN]],
        more=len(cells) - len(cells[:SHOWN]),
        cells=len(cells),
        unread=request.unread,
        notes=request.notes,
    )


def _means(cells: Sequence[Explanation], method: str) -> tuple[float, float]:
    """Mean areas under the deletion and the insertion curve, of the cells that have them."""
    pairs = [(cell.maps[method].deletion_auc, cell.maps[method].insertion_auc) for cell in cells]
    known = [pair for pair in pairs if not math.isnan(pair[0])]
    return tuple(np.mean(known, axis=0).tolist()) if known else (math.nan, math.nan)


def _empty(cells: Sequence[Explanation], method: str) -> int:
    return sum(math.isnan(cell.maps[method].deletion_auc) for cell in cells)


def _layer(request: CheckedRequest) -> str:
    """The layer whose map the CAMs take, in words; '' if there is none."""
    name, model, variables = request.options.layer, request.run.model, request.run.variables
    if not name:
        return ''
    try:
        last = last_map_layer(model, variables)
        shape = last.shape if last and name == last.name else shape_at(model, variables, name)
        return in_words(name, shape, last=bool(last and name == last.name))
    except UserError:
        return name


def _row(cell: Explanation, classes: tuple[str, ...], known: Mapping[Path, TrueClass]) -> dict[str, Any]:
    best = np.argsort(-cell.probabilities, kind='stable')[:BARS].tolist()
    bars = [(classes[index], float(cell.probabilities[index])) for index in best]
    return {
        'file': cell.file,
        'name': Path(cell.file).name,
        'note': cell.note,
        'target': classes[cell.target],
        'prediction': classes[best[0]],
        'truth': known.get(Path(cell.file)),
        'cell': overlays.jpeg_uri(cell.rgb),
        'bars': bars,
        'others': len(classes) - len(bars),
        'maps': [
            (METHODS[name].title, scored, overlays.jpeg_uri(
                heat_maps.overlay(cell.rgb, scored.map, METHODS[name].signed)),
             border.share_in_ring(scored.map) if border.rings(scored.map) else None)
            for name, scored in cell.maps.items()
        ],
        'curves': report.data_uri(overlays.faithfulness_curves(cell, classes[cell.target])),
    }  # fmt: skip
