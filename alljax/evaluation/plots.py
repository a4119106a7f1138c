"""The two figures of a run, drawn without pyplot: nothing global is touched and no display is needed."""

import io
import os
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

# Okabe & Ito's palette, told apart by every common kind of color vision
BLUE, VERMILION, GRAY = '#0072B2', '#D55E00', '#595959'
GREEN, PURPLE, ORANGE, SKY = '#009E73', '#CC79A7', '#E69F00', '#56B4E9'
DPI = 200
WRITTEN = 12  # classes at most for the counts to be written into the confusion matrix
NAMED = 80  # classes at most for each to be named beside it


def training_curves(
    history: list[dict[str, Any]], path: str | os.PathLike, *, best_epoch: int | float | None = None, title: str = ''
) -> None:
    """Write loss (nats) and accuracy (%) against epochs as a PNG of two panels, 2,000 pixels wide.

    `history` holds the rows of metrics.jsonl: 'epoch' with 'loss' and 'accuracy' (a fraction of 1), or with
    'validation_loss' and 'validation_accuracy'. `best_epoch` is marked, `title` printed above, both if given.
    """
    figure = Figure(figsize=(10, 4.4), dpi=DPI, layout='constrained')
    loss, accuracy = figure.subplots(1, 2)
    drawn = _panel(loss, history, 'loss', best_epoch, scale=1.0)
    _panel(accuracy, history, 'accuracy', best_epoch, scale=100.0)
    loss.set_ylabel('cross-entropy loss (nats)', fontsize=12)
    accuracy.set_ylabel('accuracy (%)', fontsize=12)
    # a single step may leave the panel: an early spike would else flatten all that follows
    loss.set_ylim(0, 1.08 * max(drawn[np.isfinite(drawn)].max(initial=0), 1e-3))
    accuracy.set_ylim(max(0, min(accuracy.get_ylim()[0], 95)), 101)
    handles, texts = loss.get_legend_handles_labels()
    if handles:
        figure.legend(handles, texts, loc='outside lower center', ncols=4, frameon=False, fontsize=11)
    save(figure, path, title)


def confusion_matrix(
    matrix: Int[np.ndarray, 'classes classes'], names: Sequence[str], path: str | os.PathLike, *, title: str = ''
) -> None:
    """Write a confusion matrix (rows = true classes) as a PNG with the count and the row's percentage in each cell.

    Of more than `WRITTEN` classes no numbers fit: the shares are colors beside a scale, and of very many classes some
    are named.
    """
    if len(names) > WRITTEN:
        _colored_matrix(matrix, names, path, title)
        return
    cell = 1.3 if len(names) <= 5 else 0.95
    side = 2.2 + cell * len(names)
    figure = Figure(figsize=(side, side), dpi=DPI, layout='constrained')
    axes = figure.subplots()
    cells = matrix.sum(axis=1, keepdims=True)
    share = matrix / np.maximum(cells, 1)
    axes.imshow(share, cmap='Blues', vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(matrix):
        percent = f'{100 * share[row, column]:.1f}%' if cells[row, 0] else 'no cells'
        ink = 'white' if share[row, column] > 0.55 else 'black' if count else GRAY
        # out of the layout, which they cannot change: measuring each text takes longer than drawing it
        style: dict[str, Any] = {'ha': 'center', 'color': ink, 'in_layout': False}
        axes.text(column, row - 0.04, f'{count:,}', va='bottom', fontsize=15 if cell > 1 else 12, **style)
        axes.text(column, row + 0.06, percent, va='top', fontsize=11 if cell > 1 else 9, **style)
    _name_axes(axes, names, cells[:, 0], cell)
    save(figure, path, title)


def _colored_matrix(
    matrix: Int[np.ndarray, 'classes classes'], names: Sequence[str], path: str | os.PathLike, title: str
) -> None:
    """The shares of each row as colors, zero as white, in one picture of a size that does not grow with the classes."""
    figure = Figure(figsize=(13, 12), dpi=DPI, layout='constrained')
    axes = figure.subplots()
    cells = matrix.sum(axis=1, keepdims=True)
    shares = 100 * matrix / np.maximum(cells, 1)
    image = axes.imshow(
        np.where(matrix > 0, shares, np.nan), cmap='viridis_r', vmin=0, vmax=100, interpolation='nearest'
    )
    scale = figure.colorbar(image, ax=axes, shrink=0.7, pad=0.02)
    scale.set_label('share of the true class (%); white: no cell', fontsize=12)
    shown = range(0, len(names), -(-len(names) // NAMED))
    short = [names[i] if len(names[i]) <= 24 else f'{names[i][:15]}…{names[i][-8:]}' for i in shown]
    size = float(np.clip(560 / len(shown), 6.5, 10))
    rows = [f'{name} ({cells[i, 0]:,})' for name, i in zip(short, shown, strict=True)]
    axes.set_xticks(shown, short, fontsize=size, parse_math=False, rotation=90)
    axes.set_yticks(shown, rows, fontsize=size, parse_math=False)
    every = '' if len(shown) == len(names) else f'; one name in {shown[1]} is written'
    axes.set_xlabel(f'predicted class{every}', fontsize=12, labelpad=8)
    axes.set_ylabel(f'true class (cells){every}', fontsize=12, labelpad=8)
    axes.tick_params(length=2)
    if len(names) <= NAMED:
        axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
        axes.grid(which='minor', color='#E3E3E3', linewidth=0.5)
        axes.tick_params(which='minor', length=0)
    save(figure, path, title)


def _panel(
    axes: Axes, history: list[dict[str, Any]], key: str, best_epoch: int | float | None, scale: float
) -> np.ndarray:
    epoch, value = _series(history, key, scale)
    window = len(epoch) // 40 | 1
    smooth = _smooth(value, window)
    if window > 1:
        axes.plot(epoch, value, color=BLUE, linewidth=0.7, alpha=0.3, label='training, every step')
    if len(epoch):
        label = f'training, mean of {window} steps' if window > 1 else 'training, every step'
        axes.plot(epoch, smooth, color=BLUE, linewidth=1.3, marker='o' if len(epoch) == 1 else '', label=label)
    epoch, value = _series(history, f'validation_{key}', scale)
    if len(epoch):
        axes.plot(epoch, value, color=VERMILION, linewidth=1.6, marker='o', markersize=4.5, label='validation')
    if best_epoch is not None:
        axes.axvline(best_epoch, color=GRAY, linestyle=(0, (4, 3)), linewidth=1.2, label=f'best epoch: {best_epoch:g}')
    style_epoch_axis(axes)
    return np.concatenate([smooth, value])


def style_epoch_axis(axes: Axes) -> None:
    """Style a panel whose horizontal axis is time in epochs."""
    axes.set_xlabel('epoch', fontsize=12)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True))
    axes.tick_params(labelsize=11)
    axes.grid(color='#E3E3E3', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)


def _series(history: list[dict[str, Any]], key: str, scale: float) -> tuple[np.ndarray, np.ndarray]:
    # by step, because a resumed run writes the steps after its last checkpoint a second time
    rows = {row['step']: row for row in history if key in row}
    ordered = [rows[step] for step in sorted(rows)]
    pairs = np.array([(row['epoch'], row[key]) for row in ordered], dtype=float).reshape(-1, 2)
    return pairs[:, 0], scale * pairs[:, 1]


def _smooth(values: Float[np.ndarray, ' steps'], window: int) -> Float[np.ndarray, ' steps']:
    """Average what is finite around each step: one diverged step must not blank the rest of the curve."""
    finite = np.isfinite(values)
    sums = scipy.ndimage.uniform_filter1d(np.where(finite, values, 0.0), window, mode='constant')
    weights = scipy.ndimage.uniform_filter1d(finite.astype(float), window, mode='constant')
    return np.divide(sums, weights, out=np.full_like(sums, np.nan), where=weights > 0.5 / window)


def _name_axes(axes: Axes, names: Sequence[str], cells: np.ndarray, cell: float) -> None:
    wrapped = ['\n'.join(textwrap.wrap(name, 18)) for name in names]
    widest = max(len(line) for name in wrapped for line in name.split('\n'))
    slanted = widest * 0.09 > cell - 0.1  # 0.09 in: a character at 11 points
    turn: dict[str, Any] = {'rotation': 40, 'ha': 'right', 'rotation_mode': 'anchor'} if slanted else {}
    rows = [f'{name}\nn = {n:,}' for name, n in zip(wrapped, cells, strict=True)]
    # a class name such as 'a$b$' is text, not a formula
    axes.set_xticks(range(len(names)), wrapped, fontsize=11, parse_math=False, **turn)
    axes.set_yticks(range(len(names)), rows, fontsize=11, parse_math=False)
    axes.set_xlabel('predicted class', fontsize=12, labelpad=8)
    axes.set_ylabel('true class', fontsize=12, labelpad=8)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which='minor', color='#BDBDBD', linewidth=0.8)
    axes.tick_params(which='minor', length=0)


def save(figure: Figure, path: str | os.PathLike | io.BytesIO, title: str) -> None:
    """Write a figure as PNG, with its title, if any, above: wrapped to the width and never read as a formula."""
    if title:
        lines = '\n'.join(textwrap.wrap(title, int(9 * figure.get_figwidth())))
        figure.suptitle(lines, fontsize=13, fontweight='bold', parse_math=False)
    figure.savefig(path, format='png', bbox_inches='tight', pad_inches=0.1)
