"""The page of the training cells whose label is in doubt, its figure, and the same in lines."""

import io
import textwrap

from matplotlib.figure import Figure

from alljax.evaluation import plots
from alljax.explain import calibrated, overlays
from alljax.explain.page import fill
from alljax.explain.suspects import Suspects
from alljax.runs.network import TrainedNetwork

TOLD = 8  # in the terminal
DRAWN, COLUMNS = 12, 6  # in the figure


def render(run: TrainedNetwork, name: str, found: Suspects) -> str:
    """The page; `name` is the run's."""
    return fill(
        'suspects_page.html.jinja',
        run,
        name,
        {'picture': overlays.jpeg_uri, 'share': share},
        found=found,
        suspects=found.cells[: found.shown],
        calibrated=calibrated.note(run.card.calibration),
    )


def figure(found: Suspects) -> bytes:
    """The first suspects as a PNG: each with its label, and below it what the others say."""
    shown = found.cells[: min(DRAWN, found.shown)]
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    drawn = Figure(figsize=(1.75 * columns, 2.3 * rows + 0.4), dpi=130, layout='constrained')
    for axes in drawn.subplots(rows, columns, squeeze=False).flat:
        axes.set_axis_off()
    for place, (axes, one) in enumerate(zip(drawn.axes, shown, strict=False), 1):
        axes.imshow(one.image)
        title = f'{place}. {one.label} ({share(one.probability)})'
        axes.set_title('\n'.join(textwrap.wrap(title, 22)), fontsize=8.5, parse_math=False)
        below = '\n'.join(textwrap.wrap(f'{one.suggested} ({share(one.suggested_probability)})?', 24))
        axes.text(
            0.5, -0.04, below, transform=axes.transAxes, ha='center', va='top', fontsize=8.5, color=plots.VERMILION,
            parse_math=False,
        )  # fmt: skip
    stream = io.BytesIO()
    plots.save(drawn, stream, 'Labels that the other training cells contradict most, and what they say instead')
    return stream.getvalue()


def lines(found: Suspects) -> list[str]:
    """The first suspects for the terminal."""
    said = [
        f'{len(found.cells)} training cells; fitted without a cell, a linear head gives its label to '
        f'{found.foreseen:.0%} of them and another class to {found.doubted}'
    ]
    for place, one in enumerate(found.cells[: min(TOLD, found.shown)], 1):
        rest = f'; {" and ".join(one.repeats)} show the same cell' if len(one.repeats) > 1 else ''
        rest = f'; {one.repeats[0]} shows the same cell' if len(one.repeats) == 1 else rest
        said.append(
            f'  {place}. {one.name}: {one.label} ({share(one.probability)}), others say {one.suggested} '
            f'({share(one.suggested_probability)}){rest}'
        )
    return [*said, *(f'note: {note}' for note in found.notes)]


def share(value: float) -> str:
    """A probability in percent, with digits where it is small."""
    if value < 0.0005:
        return '<0.1%'
    return f'{value:.1%}' if value < 0.0995 or value > 0.9995 else f'{value:.0%}'
