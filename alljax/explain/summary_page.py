"""The page of a run's summary, in one file that loads nothing."""

from typing import Any

import numpy as np

from alljax.explain import calibrated, overlays
from alljax.explain.page import fill, shortcut_sentences
from alljax.explain.summary import Summary
from alljax.gradients.example_statistics import ALL
from alljax.runs.layer_words import in_words
from alljax.runs.network import TrainedNetwork
from alljax.runs.training_shortcuts import TrainingShortcuts

ALL_LAYERS = 'all layers'


def render(run: TrainedNetwork, name: str, found: Summary) -> str:
    """The page; `name` is the run's."""
    layers = {layer: row for layer, row in found.statistics.items() if layer != ALL}
    return fill(
        'summary_page.html.jinja',
        run,
        name,
        {'short': short, 'picture': overlays.jpeg_uri, 'words': _words},
        classes=run.classes,
        found=found,
        calibrated=calibrated.note(run.card.calibration),
        shortcuts=shortcut_sentences(TrainingShortcuts(found.shortcuts)),
        ways=ways(found),
        layers=layers | {ALL_LAYERS: found.statistics[ALL]},
    )


def ways(found: Summary) -> str:
    """The checkpoints at which TracIn was computed, in words."""
    *earlier, last = found.checkpoints
    if not earlier:
        return (
            f'at {last} alone, since the run keeps no other checkpoint (--config.checkpoint.seconds saves more often)'
        )
    return f'the mean over all checkpoints that the run keeps: {", ".join(earlier)} and {last}'


def _words(layer: str) -> str:
    return layer if layer == ALL_LAYERS else in_words(layer)


def lines(run: TrainedNetwork, found: Summary) -> list[str]:
    """The same in short, for the terminal."""
    row = found.statistics[ALL]
    pairs = [(found.class_conflict[i, j], f'{run.classes[i]} and {run.classes[j]}') for i, j in np.argwhere(
        np.triu(found.class_conflict, 1) > 0)]  # fmt: skip
    conflict = max(pairs)[1] + f' {max(pairs)[0]:.2f}' if pairs else 'none'
    return [
        f'gradient norm {short(row.norm)}, noise scale {short(row.noise_scale)} cells, diversity '
        f'{short(row.diversity)} ({1 / found.training_cells:.2g} if all were alike); greatest conflict of classes: '
        f'{conflict}',
        f'Hessian: largest eigenvalues {", ".join(map(short, found.eigenvalues))}; trace {short(found.trace[0])} ± '
        f'{short(found.trace[1])} (standard error)',
        *filter(None, [calibrated.note(run.card.calibration)]),
        *(
            f'{one.name} ({one.label} {one.probability:.1%}): helped by '
            + (', '.join(f'{origin.name} ({origin.label})' for origin in one.helpful[:2]) or 'none')
            + ', harmed by '
            + (', '.join(f'{origin.name} ({origin.label})' for origin in one.harmful[:2]) or 'none')
            for one in found.influenced
        ),
    ]


def short(value: Any) -> str:
    """Three digits, or all before the point, and a sign for what is beyond measure."""
    if np.isinf(value):
        return '∞'
    return f'{float(value):.3g}' if abs(value) < 999.5 else f'{float(value):,.0f}'
