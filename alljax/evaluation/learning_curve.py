"""Learning curves: the score against the number of training slides and cells, and what follows from them."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

from alljax.evaluation import plots

SLIDES, CELLS = 'slides', 'cells'
WORDS = {SLIDES: 'fewer slides, with all their cells', CELLS: 'fewer cells of every slide'}
LOOKS = {SLIDES: (plots.VERMILION, 's'), CELLS: (plots.BLUE, 'o')}
FLAT = 1e-9


class Point(NamedTuple):
    """One size of the training side."""

    slides: float  # training slides (groups), mean over runs
    cells: float  # training cells, mean over runs
    scores: tuple[float, ...]  # of each repetition, fractions of 1


class Curve(NamedTuple):
    """The scores of training sides that grow in one way."""

    grows: str  # SLIDES or CELLS
    points: Sequence[Point]  # smallest first, the last is the whole training side


class Gain(NamedTuple):
    """A gain by the last doubling of a curve."""

    mean: float
    interval: tuple[float, float] | None  # 95 %, over repetitions; None for fewer than two
    each: Float[np.ndarray, ' repeats']


def draw(curves: Sequence[Curve], measure: str) -> bytes:
    """The curves as a PNG of two panels, against slides and against cells, each with the band of its repetitions."""
    figure = Figure(figsize=(10, 4.6), dpi=plots.DPI, layout='constrained')
    left, right = figure.subplots(1, 2, sharey=True)
    for curve in curves:
        if curve.grows == SLIDES:
            _line(left, curve, [point.slides for point in curve.points])
        _line(right, curve, [point.cells for point in curve.points])
    _style(left, 'training slides (groups)')
    _style(right, 'training cells')
    left.set_ylabel(f'{measure} (%)', fontsize=12)
    handles, texts = right.get_legend_handles_labels()
    figure.legend(handles, texts, loc='outside lower center', ncols=2, frameon=False, fontsize=11)
    file = io.BytesIO()
    plots.save(figure, file, '')
    return file.getvalue()


def last_doubling(curve: Curve) -> Gain | None:
    """The score of the whole training side less that of half of it, linear in the logarithm between two sizes.

    None if the curve does not reach down to the half. The interval is Student's over repetitions, which share cells,
    so it is rather too narrow.
    """
    sizes = np.array([getattr(point, curve.grows) for point in curve.points])
    if len(sizes) < 2 or sizes[0] > sizes[-1] / 2 + FLAT:
        return None
    scores = np.array([point.scores for point in curve.points])
    half = [np.interp(np.log(sizes[-1] / 2), np.log(sizes), column) for column in scores.T]
    return _gain(scores[-1] - np.array(half))


def conclusion(curves: Sequence[Curve], measure: str) -> str:
    """A sentence on whether more cells or more slides are needed, with the gains that say so."""
    gains = {curve.grows: last_doubling(curve) for curve in curves}
    slides, cells = gains.get(SLIDES), gains.get(CELLS)
    if slides is None or cells is None:
        missing = SLIDES if slides is None else CELLS
        return f'The curve over {missing} does not reach down to half of them, so no doubling can be told.'
    repeats = len(slides.each)
    said = (
        f'The last doubling of slides, with all their cells, changes {measure} by {_points(slides)}, that of cells of '
        f'the same slides by {_points(cells)}'
    )
    if slides.interval is None or cells.interval is None:
        return f'{said}; with one repetition it cannot be told from noise. Set config.split.repeats to 3 or more.'
    more = _gain(slides.each - cells.each)
    low, high = more.interval or (0.0, 0.0)
    if (low > 0 and slides.interval[0] <= 0) or (high < 0 and cells.interval[0] <= 0):
        better = SLIDES if low > 0 else CELLS
        verdict = f'a doubling of {better} is worth more, but by itself it cannot be told from noise'
    elif low > 0:
        verdict = 'more slides are needed rather than more cells of the same slides'
    elif high < 0:
        verdict = 'more cells of each slide are needed rather than more slides'
    elif slides.interval[0] > 0 or cells.interval[0] > 0:
        verdict = 'more data help, and it cannot be told from noise whether slides or cells do'
    else:
        verdict = 'neither gain can be told from noise: more of these cells or slides may not help'
    return f'{said}: {verdict} ({repeats} repetitions).'


def _gain(each: Float[np.ndarray, ' repeats']) -> Gain:
    mean, count = float(each.mean()), len(each)
    if count < 2:
        return Gain(mean, None, each)
    reach = float(scipy.stats.t.ppf(0.975, count - 1) * each.std(ddof=1) / np.sqrt(count))
    return Gain(mean, (mean - reach, mean + reach), each)


def _points(gain: Gain) -> str:
    bounds = f' ({100 * gain.interval[0]:+.1f} to {100 * gain.interval[1]:+.1f})' if gain.interval else ''
    return f'{100 * gain.mean:+.1f} points{bounds}'.replace('-', '−')


def _line(axes: Axes, curve: Curve, sizes: Sequence[float]) -> None:
    color, marker = LOOKS[curve.grows]
    scores = 100 * np.array([point.scores for point in curve.points])
    axes.fill_between(sizes, scores.min(1), scores.max(1), color=color, alpha=0.2, linewidth=0)
    label = f'{WORDS[curve.grows]}; band: least and best repetition'
    axes.plot(sizes, scores.mean(1), color=color, marker=marker, linewidth=1.6, label=label)


def _style(axes: Axes, label: str) -> None:
    axes.set_xscale('log', base=2)
    ticks = sorted({round(float(size)) for line in axes.get_lines() for size in np.asarray(line.get_xdata())})
    axes.xaxis.set_major_locator(FixedLocator(ticks[:: -(-len(ticks) // 8)] if ticks else [1]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlabel(f'{label}, log scale', fontsize=12)
    axes.tick_params(labelsize=11)
    axes.grid(color='#E3E3E3', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
