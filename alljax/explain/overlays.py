"""Many heat maps in one picture, and curves, drawn without pyplot."""

import io
import textwrap
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from alljax.data.image import RgbImage
from alljax.evaluation import plots, thumbnails
from alljax.evaluation.heat_maps import overlay
from alljax.explain.measurements import Explanation
from alljax.explain.methods import METHODS

ROWS = 6  # of the overview
LINES = ('-', (0, (4, 2)), (0, (1, 1.5)))  # of methods beyond the colors
COLORS = (plots.BLUE, plots.VERMILION, plots.GREEN, plots.PURPLE, plots.ORANGE, plots.SKY, plots.GRAY)


def faithfulness_curves(cell: Explanation, target: str) -> bytes:
    """The deletion and insertion curves of all methods as a PNG of two panels with one legend."""
    figure = Figure(figsize=(6.4, 3.0), dpi=130, layout='constrained')
    removed, shown = figure.subplots(1, 2, sharey=True)
    share = 100 * np.linspace(0, 1, len(next(iter(cell.maps.values())).deletion_curve))
    for number, (name, scored) in enumerate(cell.maps.items()):
        if np.isnan(scored.deletion_auc):
            continue
        color = COLORS[number % len(COLORS)]
        line = LINES[number // len(COLORS) % len(LINES)]
        for axes, values in ((removed, scored.deletion_curve), (shown, scored.insertion_curve)):
            axes.plot(share, 100 * values, color=color, linestyle=line, linewidth=1.6, label=METHODS[name].title)
    _panel(removed, 'deletion: lower is better', 'pixels removed (%)')
    _panel(shown, 'insertion: higher is better', 'pixels put back (%)')
    short = target if len(target) <= 24 else f'{target[:23]}…'
    removed.set_ylabel(f'probability of {short} (%)', fontsize=9.5, parse_math=False)
    handles, texts = removed.get_legend_handles_labels()
    if handles:
        figure.legend(handles, texts, loc='outside lower center', ncols=3, frameon=False, fontsize=9)
    stream = io.BytesIO()
    plots.save(figure, stream, '')
    return stream.getvalue()


def overview(cells: Sequence[Explanation], classes: Sequence[str]) -> bytes:
    """The first cells and their maps as one PNG: a row a cell, a column a method."""
    shown, methods = cells[:ROWS], list(cells[0].maps)
    figure = Figure(figsize=(1.25 * (len(methods) + 1), 1.3 * len(shown) + 0.3), dpi=110, layout='constrained')
    for row, places in zip(shown, figure.subplots(len(shown), len(methods) + 1, squeeze=False), strict=True):
        pictures = [overlay(row.rgb, scored.map, METHODS[name].signed) for name, scored in row.maps.items()]
        for axes, picture in zip(places, [row.rgb, *pictures], strict=True):
            axes.imshow(picture)
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        chance = f'{100 * row.probabilities[row.target]:.1f}%'
        places[0].set_ylabel(f'{classes[row.target]}\n{chance}', fontsize=9, parse_math=False)
    titles = ['cell', *(METHODS[name].title for name in methods)]
    for axes, title in zip(figure.axes, titles, strict=False):
        axes.set_title('\n'.join(textwrap.wrap(title, 14, break_long_words=False)), fontsize=9)
    stream = io.BytesIO()
    plots.save(figure, stream, '')
    return stream.getvalue()


def jpeg_uri(picture: RgbImage) -> str:
    """A picture as an address that holds it, a sixth of what it would be as PNG."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, 'JPEG', quality=88)
    return thumbnails.jpeg_uri(stream.getvalue())


def _panel(axes: Axes, title: str, below: str) -> None:
    axes.set_title(title, fontsize=9.5, loc='left')
    axes.set_xlabel(below, fontsize=9.5)
    axes.set_xlim(0, 100)
    axes.set_ylim(-3, 103)
    axes.tick_params(labelsize=9)
    axes.grid(color='#E3E3E3', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
