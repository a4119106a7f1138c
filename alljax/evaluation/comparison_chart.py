"""A chart of many numbers with their intervals: a row for each experiment, a panel for each measure."""

import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alljax.evaluation import plots

SERIES_HEIGHT = 0.17  # inches of each series in a row: error bars below one another, never over
MAX_LABEL = 46  # characters of a row's name before it is broken
BAND = '#F3F5F7'  # behind every other row


class Series(NamedTuple):
    """The points that are drawn in one color."""

    label: str
    color: str
    marker: str


class Point(NamedTuple):
    """A number with its interval, in percent."""

    value: float
    interval: tuple[float, float] | None


# An experiment's name, and for each series a point, words on why there is none, or nothing.
ChartRow = tuple[str, Sequence[Point | str | None]]


def dot_plot(panels: Mapping[str, Sequence[ChartRow]], series: Sequence[Series], *, title: str = '') -> bytes:
    """Return the chart as the bytes of a PNG file, about 2,000 pixels wide; the x axes are in percent.

    `panels` holds the rows of each measure. A series without a number in a row has its first words at the row's end.
    """
    named = {
        measure: [('\n'.join(textwrap.wrap(name, MAX_LABEL)), row) for name, row in rows]
        for measure, rows in panels.items()
    }
    heights = [sum(_height(name, len(series)) for name, _ in rows) for rows in named.values()]
    figure = Figure(figsize=(10, sum(heights) + 0.75 * len(heights) + 0.6), dpi=plots.DPI, layout='constrained')
    grid = figure.subplots(len(named), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, (measure, rows) in zip(grid, named.items(), strict=True):
        _panel(axes, rows, series)
        axes.set_xlabel(f'{measure} (%)', fontsize=12)
    _legend(grid[0], series)
    file = io.BytesIO()
    plots.save(figure, file, title)
    return file.getvalue()


def _legend(axes: Axes, series: Sequence[Series]) -> None:
    handles = [axes.plot([], [], color=s.color, marker=s.marker, linestyle='', markersize=7)[0] for s in series]
    labels = ['\n'.join(textwrap.wrap(s.label, 60)) for s in series]
    longest = max(len(line) for label in labels for line in label.split('\n'))
    # above the first panel: at the figure's upper edge it would cover the title
    place: dict[str, Any] = {'loc': 'lower left', 'bbox_to_anchor': (0, 1), 'borderaxespad': 0.2}
    columns = max(1, 70 // (longest + 6))
    legend = axes.legend(handles, labels, **place, ncols=columns, frameon=False, fontsize=11)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _height(name: str, count: int) -> float:
    return max(SERIES_HEIGHT * (count + 0.8), 0.17 * (name.count('\n') + 1.6))


def _panel(axes: Axes, rows: Sequence[ChartRow], series: Sequence[Series]) -> None:
    top, middles = 0.0, []
    for place, (name, points) in enumerate(rows):
        height = _height(name, len(series))
        middles.append(top + height / 2)
        if place % 2 == 0:
            axes.axhspan(top, top + height, color=BAND, linewidth=0, zorder=0)
        for i, (point, style) in enumerate(zip(points, series, strict=True)):
            _draw(axes, point, style, middles[-1] + SERIES_HEIGHT * (i - (len(series) - 1) / 2))
        top += height
    axes.set_ylim(top, 0)
    axes.set_yticks(middles, [name for name, _ in rows], fontsize=11, parse_math=False)
    axes.tick_params(axis='y', length=0)
    axes.tick_params(axis='x', labelsize=11, labelbottom=True)
    axes.grid(axis='x', color='#D8DCE1', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right', 'left']].set_visible(False)


def _draw(axes: Axes, point: Point | str | None, style: Series, y: float) -> None:
    if isinstance(point, str):
        words = textwrap.shorten(point.split(':')[0], 24, placeholder=' …')
        place: dict[str, Any] = {'xycoords': ('axes fraction', 'data'), 'textcoords': 'offset points'}
        look: dict[str, Any] = {'color': style.color, 'va': 'center', 'fontsize': 9, 'parse_math': False}
        axes.annotate(words, (1, y), (6, 0), **place, **look, annotation_clip=False)
    elif point is not None:
        if point.interval:
            axes.plot(point.interval, [y, y], color=style.color, linewidth=1.5, marker='|', markersize=6)
        axes.plot([point.value], [y], color=style.color, marker=style.marker, markersize=7, linestyle='')
