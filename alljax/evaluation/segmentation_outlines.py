"""Pictures of cells with the outlines that were found, and the true ones where they are known."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from alljax.evaluation import plots

COLUMNS = 6
FOUND, TRUE = plots.VERMILION, plots.SKY

Mask = Bool[np.ndarray, 'height width']


class OutlinedCell(NamedTuple):
    """A cell, the masks that are drawn as lines, and the caption above it."""

    image: UInt8[np.ndarray, 'height width 3']
    found: Sequence[Mask]
    true: Sequence[Mask]  # none where the truth is not known
    caption: str


def write_sheet(cells: Sequence[OutlinedCell], path: str | os.PathLike, *, title: str = '') -> None:
    """Write the cells as one PNG file, six in a row: found outlines solid, true ones dashed."""
    rows = -(-len(cells) // COLUMNS)
    figure = Figure(figsize=(10, 1.95 * rows + 0.7), dpi=plots.DPI, layout='constrained')
    grid = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    for axes, cell in zip(grid, cells, strict=False):
        _draw(axes, cell)
    shown: list[tuple[str, str, Any]] = [('found', FOUND, '-')]
    if any(cell.true for cell in cells):
        shown.append(('true', TRUE, '--'))
    lines = [Line2D([], [], color=color, linestyle=style, label=name) for name, color, style in shown]
    figure.legend(handles=lines, loc='outside lower center', ncols=2, frameon=False, fontsize=10)
    plots.save(figure, path, title)


def _draw(axes: Axes, cell: OutlinedCell) -> None:
    axes.imshow(cell.image)
    for masks, color, style in ((cell.found, FOUND, 'solid'), (cell.true, TRUE, 'dashed')):
        for mask in masks:
            if mask.any() and not mask.all():
                axes.contour(mask, [0.5], colors=[color], linestyles=[style], linewidths=1.1)
    axes.set_title(cell.caption, fontsize=7.5, parse_math=False)
