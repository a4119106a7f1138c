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
LOGARITHMIC, FROM_ZERO, COSINE, UP_TO_ONE, FREE = range(5)  # axes
#         key of metrics.jsonl, label, axis
PANELS = (
    ('gradient_norm', 'gradient norm (loss per unit of weight)', LOGARITHMIC),
    ('update_ratio', 'update / weights, norms, of one step', LOGARITHMIC),
    ('noise_scale', 'gradient noise scale (cells)', LOGARITHMIC),
    ('class_conflict', 'conflict of classes (0 none, 1 opposed)', FROM_ZERO),
    ('step_cosine', 'cosine with the gradient of the last look', COSINE),
    ('cka', 'alike the epoch before (linear CKA)', UP_TO_ONE),
    ('largest_curvature', 'largest eigenvalue of the Hessian', FREE),
)
HEAD_PREFIX = 'head/'  # where the new layers are


def has_gradients(history: Sequence[dict[str, Any]]) -> bool:
    """True if a run wrote down its gradients."""
    return any(key.startswith('gradient_norm/') for row in history for key in row)


def curves(history: Sequence[dict[str, Any]], path: str | os.PathLike, *, title: str = '') -> None:
    """Write what was looked at in the gradients of each layer against epochs as a PNG, a panel for each of PANELS.

    `history` holds the rows of metrics.jsonl; a panel of which there is no row is left out. The new layers are
    vermilion, the old ones from dark (first) to light; of more than ten, only some are drawn, evenly through the
    network. What is infinite is left out.
    """
    layers, keys = _layers(history), {key.partition('/')[0] for row in history for key in row}
    panels = [panel for panel in PANELS if panel[0] in keys]
    rows = -(-len(panels) // 2)
    figure = Figure(figsize=(10, 1 + 3.6 * rows), dpi=DPI, layout='constrained')
    old = [name for name in layers if not name.startswith(HEAD_PREFIX)]
    shown = [old[index] for index in np.unique(np.linspace(0, len(old) - 1, min(MAX_LAYERS, len(old))).astype(int))]
    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.remove()
    for axes, (key, label, kind) in zip(grid, panels, strict=False):
        for place, name in enumerate(shown):
            _line(axes, history, key, name, colormaps['cividis'](0.9 * place / max(len(shown) - 1, 1)), '-')
        for name, style in zip(
            [name for name in layers if name.startswith(HEAD_PREFIX)], ('-', '--', ':', '-.'), strict=False
        ):
            _line(axes, history, key, name, VERMILION, style)
        _line(axes, history, key, '', 'black', '-')  # of the whole network
        _style(axes, label, kind)
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
    wanted = f'{key}/{name}' if name else key
    rows = {row['step']: row for row in history if wanted in row}
    points = np.array([(row['epoch'], row[wanted]) for _, row in sorted(rows.items())], float).reshape(-1, 2)
    if not len(points):
        return
    marker = '.' if len(points) < 30 else ''
    axes.plot(*points.T, color=color, linestyle=style, linewidth=1.3, marker=marker, label=name)


def _style(axes: Axes, label: str, kind: int) -> None:
    drawn = [value for line in axes.lines for value in np.asarray(line.get_ydata(), float) if value > 0]
    if kind == LOGARITHMIC and drawn:
        axes.set_yscale('log')
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif kind == COSINE:
        axes.set_ylim(-1.02, 1.02)
        axes.axhline(0, color='0.6', linewidth=0.8)
    elif kind == UP_TO_ONE:
        axes.set_ylim(top=1.002)
    elif kind != FREE:
        axes.set_ylim(bottom=0)
    axes.set_ylabel(label, fontsize=12)
    style_epoch_axis(axes)
