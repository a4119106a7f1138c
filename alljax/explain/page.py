"""A page about a run, in one file that loads nothing, from a template of this room."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

import alljax
from alljax.evaluation import formatting, page_template
from alljax.runs import training_shortcuts
from alljax.runs.network import TrainedNetwork
from alljax.runs.training_shortcuts import TrainingShortcuts


def fill(template: str, run: TrainedNetwork, name: str, filters: Mapping[str, Callable[..., Any]], **facts: Any) -> str:
    """A page about a run from a template of this room; `filters` and `facts` are what the template asks for."""
    return page_template.load(template, 'alljax.explain', **filters).render(
        css=Markup(page_template.text('report.css')),
        version=alljax.__version__,
        name=name,
        network=run.model.name,
        synthetic=run.card.synthetic,
        **facts,
    )


def shortcut_sentences(shortcuts: TrainingShortcuts) -> list[str]:
    """The audit's answers about the border and the color of the training cells, and what follows for the maps."""
    if shortcuts.unchecked:
        return [f'The training cells could not be asked whether their border tells the class: {shortcuts.unchecked}.']
    said = [training_shortcuts.sentence(one) for one in shortcuts.found]
    told = {one.name for one in shortcuts.found if one.says_the_label}
    if 'border' in told:
        said.append(
            'So a network could be right without a look at the cell. alljax audit shows more of it; test on slides '
            'that no training cell is from, or paint over what surrounds the cell (--config.data.mask).'
        )
    elif shortcuts.found:
        said.append(
            'So no shortcut in the border explains a map that rings it; the padding of convolutions and a coarse map '
            'can do so, too.'
        )
    return said


def area(value: float) -> str:
    """An area under a curve, or a dash for a map that ranks no pixel."""
    return formatting.MISSING if math.isnan(value) else f'{value:.2f}'


def share(value: float) -> str:
    """A share in whole percent, or a dash."""
    return formatting.MISSING if math.isnan(value) else f'{value:.0%}'
