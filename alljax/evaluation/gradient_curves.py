"""The figure of a run's gradients: what the raised rate of the new layers does to them and to the old ones."""

import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from alljax.evaluation.plots import DPI, VERMILION, save, style_epoch_axis

MAX_LAYERS = 10  # lines of old layers in a panel
#         key of metrics.jsonl, label, drawn on a logarithmic axis
PANELS = (
    ('gradient_norm', 'gradient norm (loss per unit of weight)', True),
    ('update_ratio', 'update / weights, norms, of one step', True),
    ('noise_scale', 'gradient noise scale (cells)', True),
    ('class_conflict', 'conflict of classes (0 none, 1 opposed)', False),
)
HEAD_PREFIX = 'head/'  # where the new layers are


def has_gradients(history: Sequence[dict[str, Any]]) -> bool:
    """True if a run wrote down its gradients."""
    return any(key.startswith('gradient_norm/') for row in history for key in row)


def curves(history: Sequence[dict[str, Any]], path: str | os.PathLike, *, title: str = '') -> None:
    """Write norm, update ratio, noise scale and class conflict of each layer against epochs as a PNG of four panels.

    `history` holds the rows of metrics.jsonl. The new layers are vermilion, the old ones from dark (first) to light;
    of more than ten, only some are drawn, evenly through the network. What is infinite is left out.
    """
    figure = Figure(figsize=(10, 8.2), dpi=DPI, layout='constrained')
    layers = _layers(history)
    old = [name for name in layers if not name.startswith(HEAD_PREFIX)]
    shown = [old[index] for index in np.unique(np.linspace(0, len(old) - 1, min(MAX_LAYERS, len(old))).astype(int))]
    for axes, (key, label, logarithmic) in zip(figure.subplots(2, 2).ravel(), PANELS, strict=True):
        for place, name in enumerate(shown):
            _line(axes, history, key, name, colormaps['cividis'](0.9 * place / max(len(shown) - 1, 1)), '-')
        for name, style in zip(
            [name for name in layers if name.startswith(HEAD_PREFIX)], ('-', '--', ':', '-.'), strict=False
        ):
            _line(axes, history, key, name, VERMILION, style)
        _style(axes, label, logarithmic)
    handles, texts = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, texts, loc='outside lower center', ncols=6, frameon=False, fontsize=10)
    save(figure, path, title)


def _layers(history: Sequence[dict[str, Any]]) -> list[str]:
    """The layers by name, numbers as numbers, which is the network's order in most families; the new ones last."""
    names = {key.partition('/')[2] for row in history for key in row if key.startswith('update_ratio/')}

    def order(name: str) -> tuple[bool, list[tuple[str, int]]]:
        parts = [(word, int(digits or 0)) for word, digits in re.findall(r'(\D+)(\d*)', name)]
        return name.startswith(HEAD_PREFIX), parts

    return sorted(names, key=order)


def _line(axes: Axes, history: Sequence[dict[str, Any]], key: str, name: str, color: Any, style: str) -> None:
    rows = {row['step']: row for row in history if f'{key}/{name}' in row}
    points = np.array([(row['epoch'], row[f'{key}/{name}']) for _, row in sorted(rows.items())], float).reshape(-1, 2)
    marker = '.' if len(points) < 30 else ''
    axes.plot(*points.T, color=color, linestyle=style, linewidth=1.3, marker=marker, label=name)


def _style(axes: Axes, label: str, logarithmic: bool) -> None:
    drawn = [value for line in axes.lines for value in np.asarray(line.get_ydata(), float) if value > 0]
    if logarithmic and drawn:
        axes.set_yscale('log')
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.set_ylim(bottom=0)
    axes.set_ylabel(label, fontsize=12)
    style_epoch_axis(axes)
