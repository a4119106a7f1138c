"""The figures of an advice, as PNG: what is told by file and by slide, and the gain of more slides and cells."""

import io
import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from alljax.evaluation import learning_curve, plots
from alljax.runs.advice.findings import Advice
from alljax.runs.advice.scores import Score

BAR = 0.26  # of the distance of two sets of features


def comparison(advice: Advice) -> bytes:
    """Bars with 95 % intervals for each set of features: classes by file and by slide, and slides."""
    figure = Figure(figsize=(10, 4.4), dpi=plots.DPI, layout='constrained')
    axes = figure.subplots()
    rows = advice.scores
    _bars(axes, [row.by_file for row in rows], -1, plots.SKY, 'class, by file')
    _bars(axes, [row.by_slide for row in rows], 0, plots.BLUE, 'class, by slide')
    _bars(axes, [row.slide_told.score if row.slide_told else None for row in rows], 1, plots.ORANGE,
          'slide, among those of the class')  # fmt: skip
    axes.axhline(100 * advice.chance, color=plots.GRAY, linestyle=(0, (4, 3)), linewidth=1.2, label='chance, class')
    names = ['\n'.join(textwrap.wrap(row.name, 24)) for row in rows]
    axes.set_xticks(range(len(rows)), names, fontsize=11, parse_math=False)
    axes.set_ylabel('macro recall (%)', fontsize=12)
    axes.set_ylim(0, 100)
    axes.tick_params(labelsize=11, length=0)
    axes.grid(axis='y', color='#E3E3E3', linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[['top', 'right']].set_visible(False)
    handles, texts = axes.get_legend_handles_labels()
    figure.legend(handles, texts, loc='outside lower center', ncols=4, frameon=False, fontsize=11)
    file = io.BytesIO()
    plots.save(figure, file, '')
    return file.getvalue()


def curves(advice: Advice) -> bytes | None:
    """Macro recall by slide against training slides and training cells; None where no slides are known."""
    return learning_curve.draw(advice.by_slide.growth.curves, 'macro recall') if advice.by_slide else None


def _bars(axes: Axes, found: list[Score | None], place: int, color: str, label: str) -> None:
    """One bar of each group, with its value above the upper end of its interval."""
    shown = [(number + place * BAR, score) for number, score in enumerate(found) if score]
    if not shown:
        return
    where = [position for position, _ in shown]
    axes.bar(where, [100 * score.value for _, score in shown], BAR * 0.92, color=color, label=label)
    for position, score in shown:
        top = 100 * score.value
        if score.interval:
            low, high = (100 * bound for bound in score.interval)
            axes.plot([position, position], [low, high], color='black', linewidth=1.2)
            top = max(top, high)
        axes.text(position, top + 1.5, f'{100 * score.value:.0f}', ha='center', fontsize=11, in_layout=False)
