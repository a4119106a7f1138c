"""Many experiments in one table, beside the numbers a paper printed, and how far each can be trusted."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from alljax.evaluation import compared_model, comparison_chart, formatting, page_template, plots, report
from alljax.evaluation.compared_model import ComparedModel
from alljax.storage.atomic import write_whole
from alljax.storage.text_files import csv_text, write_text

PRINTED = 1000  # papers print two decimals of a percentage, as `formatting` does for this many cells
TABULATED = 30  # classes at most for a confusion matrix to be written as a table: of more, a page takes long to open
INK = '#000000'
OTHER_COLORS = (plots.GREEN, plots.PURPLE, plots.ORANGE, plots.SKY)
OTHER_MARKERS = ('^', 'v', 'P', 'X')
LEAKY = (
    'Copies of one cell, or cells of one slide, can stand on both sides of such a split, so its numbers are too high '
    'for new patients.'
)
GROUPED = 'grouped'  # the column of the protocol that keeps groups together
INTERVALS = (
    'Beside each number the 95% interval with whole groups resampled, and n, its test cells. A gap, in percentage '
    'points, is more than noise where its interval excludes 0.'
)


class Estimate(NamedTuple):
    """A measure's value with its interval."""

    value: float  # fraction of 1, or a difference of two
    interval: tuple[float, float] | None  # 95%, groups resampled; None where it cannot be had
    n: int  # test cells it rests on


class Row(NamedTuple):
    """One measure of one experiment."""

    experiment: str  # such as 'HSV, subtype'
    measure: str  # such as 'macro precision'
    printed: float | None  # the paper's number, fraction of 1
    estimates: Mapping[str, Estimate | str]  # column -> the estimate, or in words why there is none
    gap: Estimate | None  # the first leaky column minus 'grouped'; None if one is missing
    significance: Mapping[str, str]  # column -> 'reference', or how it differs from it: 'p = 0.43: within noise'


class ExtraTable(NamedTuple):
    """A second, smaller table below the first: a row for each experiment, numbers only."""

    name: str  # of its CSV file
    title: str
    columns: Mapping[str, Callable[[float], str]]  # name -> the function that formats its numbers
    rows: Mapping[str, Sequence[float | None]]  # experiment -> a number for each column, None where there is none
    note: str


class ComparisonTable(NamedTuple):
    """All that a table prints."""

    title: str
    source: str  # what the paper's numbers are; '' if there are none
    columns: Mapping[str, bool]  # name -> True if its split is leaky
    rows: Sequence[Row]
    # experiment -> 'paper' or a column -> class names and counts, rows = true classes
    confusions: Mapping[str, Mapping[str, tuple[Sequence[str], np.ndarray]]]
    notes: Sequence[str]
    banner: str  # 'synthetic cells', or ''
    command: str
    extras: Sequence[ExtraTable] = ()
    grouping: str = ''  # of the column 'grouped': a key of formatting.GROUPINGS; '' if it is not known
    figures: Mapping[str, bytes] = MappingProxyType({})  # heading → PNG, shown before the chart
    models: Mapping[str, ComparedModel] = MappingProxyType({})  # by experiment


def write(folder: Path, table: ComparisonTable) -> None:
    """Write table.md, table.csv, table.html and table.png, each whole or not at all; makes the folder.

    The page is one file without scripts or outside addresses. The CSV file holds fractions of 1 as they are, the others
    percent. Paper, gap and significance are left out where no row has one. Raises ValueError for a table without rows.
    """
    if not table.rows:
        raise ValueError(f'the table {table.title!r} has no lines, expected one at least')
    png = _chart(table)
    texts = {'table.md': _markdown(table), 'table.csv': _csv(table), 'table.html': _html(table, png)}
    for extra in table.extras:
        rows = [(name, *numbers) for name, numbers in extra.rows.items()]
        texts[f'{extra.name}.csv'] = csv_text(('cell', *extra.columns), rows)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        write_text(folder / name, text)
    write_whole(folder / 'table.png', png)


def verdict(gap: Estimate) -> str:
    """Say whether a difference is 'more than noise': its interval excludes 0."""
    if gap.interval is None:
        return 'no interval: noise unknown'
    return 'within noise' if gap.interval[0] <= 0 <= gap.interval[1] else 'more than noise'


def percentage_points(difference: float, n: int) -> str:
    """Format a difference of fractions in signed percentage points, with the digits of `formatting.percent`."""
    sign = '−' if difference < 0 else '+'
    return f'{sign}{formatting.percent(abs(difference), n)[:-1]}'


def _heads(table: ComparisonTable) -> dict[str, str]:
    kind = f' ({formatting.GROUPINGS[table.grouping]})' if table.grouping in formatting.DOUBTFUL else ''
    return {
        name: f'{name} (leaky)' if leaky else name + (kind if name == GROUPED else '')
        for name, leaky in table.columns.items()
    }


def _doubtful(table: ComparisonTable) -> str:
    """The sentence about a grouped column whose groups are not of patients or slides; '' if there is none."""
    return formatting.DOUBTFUL.get(table.grouping, '') if GROUPED in table.columns else ''


def _shown(table: ComparisonTable) -> dict[str, Any]:
    """The optional columns: True for the paper's numbers, the two columns of a gap, and the columns with a p value."""
    leaky = next((name for name, leaky in table.columns.items() if leaky), '')
    return {
        'paper': any(row.printed is not None for row in table.rows),
        'gap': f'{leaky} − {GROUPED}' if any(row.gap for row in table.rows) else '',
        'compared': [name for name in table.columns if any(row.significance.get(name) for row in table.rows)],
    }


def _markdown(table: ComparisonTable) -> str:
    rows = [_words(table, row) for row in table.rows]
    leaky = [name for name, leaky in table.columns.items() if leaky]
    warnings = [
        *(
            [f'**{formatting.markdown(formatting.label(table.banner))}: these numbers say nothing about leukemia.**']
            if table.banner
            else []
        ),
        *([f'**Leaky: {formatting.markdown(", ".join(leaky))}.** {LEAKY}'] if leaky else []),
        *([f'**{formatting.markdown(_heads(table)[GROUPED])}.** {_doubtful(table)}'] if _doubtful(table) else []),
    ]
    source = [f'Paper: {formatting.markdown(table.source)}.'] if _shown(table)['paper'] and table.source else []
    grid = [list(rows[0]), ['---'] * 2 + ['---:'] * (len(rows[0]) - 2), *(list(row.values()) for row in rows)]
    parts = [
        f'# {formatting.markdown(table.title)}',
        *warnings,
        '\n'.join(f'| {" | ".join(row)} |' for row in grid),
        ' '.join([*source, INTERVALS]),
        *map(_markdown_of, table.extras),
        compared_model.markdown_section(table.models),
        '\n'.join(f'- {formatting.markdown(note)}' for note in table.notes),
        'To repeat:',
        '\n'.join(f'    {line}' for line in table.command.splitlines()),
    ]
    return '\n\n'.join(part for part in parts if part) + '\n'


def _markdown_of(extra: ExtraTable) -> str:
    grid = [['cell', *extra.columns], ['---'] + ['---:'] * len(extra.columns)]
    grid += [[formatting.markdown(name), *words] for name, words in formatted(extra).items()]
    rows = '\n'.join(f'| {" | ".join(row)} |' for row in grid)
    return f'## {formatting.markdown(extra.title)}\n\n{rows}\n\n{formatting.markdown(extra.note)}'


def formatted(extra: ExtraTable) -> dict[str, list[str]]:
    """The numbers of an extra table as they are printed, by experiment."""
    return {
        name: [
            formatting.MISSING if number is None else form(number)
            for form, number in zip(extra.columns.values(), numbers, strict=True)
        ]
        for name, numbers in extra.rows.items()
    }


def _words(table: ComparisonTable, row: Row) -> dict[str, str]:
    """A row as Markdown, by the heads of its columns."""
    shown, heads = _shown(table), _heads(table)
    words = {'cell': row.experiment, 'measure': row.measure}
    if shown['paper']:
        words['paper'] = formatting.percent(row.printed, PRINTED)
    for name, head in heads.items():
        estimate = row.estimates.get(name, formatting.MISSING)
        words[head] = estimate if isinstance(estimate, str) else _sentence(estimate)
    if shown['gap']:
        words[f'gap: {shown["gap"]}'] = _difference(row.gap) if row.gap else formatting.MISSING
    words |= {f'{heads[name]}: against the reference': row.significance.get(name, '') for name in shown['compared']}
    return {formatting.markdown(head): formatting.markdown(text) for head, text in words.items()}


def _sentence(estimate: Estimate) -> str:
    bounds = formatting.interval(estimate.interval, estimate.n) if estimate.interval else 'no interval'
    return f'{formatting.percent(estimate.value, estimate.n)} ({bounds}, n = {estimate.n:,})'


def _difference(gap: Estimate) -> str:
    bounds = f' ({" to ".join(percentage_points(bound, gap.n) for bound in gap.interval)})' if gap.interval else ''
    return f'{percentage_points(gap.value, gap.n)} points{bounds}: {verdict(gap)}'


def _csv(table: ComparisonTable) -> str:
    records = [_record(table, row) for row in table.rows]
    return csv_text(list(records[0]), [list(record.values()) for record in records])


def _record(table: ComparisonTable, row: Row) -> dict[str, Any]:
    shown, heads = _shown(table), _heads(table)
    record: dict[str, Any] = {'cell': row.experiment, 'measure': row.measure}
    if shown['paper']:
        record['paper'] = None if row.printed is None else float(row.printed)
    for name, head in heads.items():
        record |= _fields(head, row.estimates.get(name))
    if shown['gap']:
        record |= _fields('gap', row.gap)
        record['gap verdict'] = verdict(row.gap) if row.gap else None
    record |= {f'{heads[name]} against the reference': row.significance.get(name) for name in shown['compared']}
    return record | ({'remark': table.banner} if table.banner else {})


def _fields(head: str, estimate: Estimate | str | None) -> dict[str, Any]:
    names = [head, f'{head} low', f'{head} high', f'{head} n']
    if not isinstance(estimate, Estimate):
        return dict(zip(names, [estimate, None, None, None], strict=True))
    low, high = estimate.interval or (None, None)
    # NumPy's scalars print their type
    values = [None if x is None else float(x) for x in (estimate.value, low, high)]
    return dict(zip(names, [*values, int(estimate.n)], strict=True))


def _html(table: ComparisonTable, png: bytes) -> str:
    template = page_template.load('comparison_table.html.jinja', percentage_points=percentage_points, verdict=verdict)
    return template.render(
        table=table,
        heads=_heads(table),
        shown=_shown(table),
        experiments=[(name, list(rows)) for name, rows in groupby(table.rows, lambda row: row.experiment)],
        confusions={
            experiment: [
                (_heads(table).get(name, name), names, _shaded(matrix)) for name, (names, matrix) in columns.items()
            ]
            for experiment, columns in table.confusions.items()
            if all(len(names) <= TABULATED for names, _ in columns.values())
        },
        untabulated=[
            experiment
            for experiment, columns in table.confusions.items()
            if any(len(names) > TABULATED for names, _ in columns.values())
        ],
        printed=PRINTED,
        extras=[(extra, formatted(extra)) for extra in table.extras],
        figures=[(heading, report.data_uri(figure)) for heading, figure in table.figures.items()],
        leaky=[name for name, leaky in table.columns.items() if leaky],
        warning=LEAKY,
        grouped=GROUPED,
        doubtful=_doubtful(table),
        intervals=INTERVALS,
        chart=report.data_uri(png),
        css=Markup(page_template.text('report.css')),
    )


def _shaded(matrix: np.ndarray) -> list[list[tuple[str, float]]]:
    """Each count as text, with its share of the row."""
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return [[(f'{x:,g}', float(s)) for x, s in zip(*row, strict=True)] for row in zip(matrix, share, strict=True)]


def _chart(table: ComparisonTable) -> bytes:
    heads, shown = _heads(table), _shown(table)
    series = [comparison_chart.Series('paper', INK, 'D')] if shown['paper'] else []
    first = next((name for name, leaky in table.columns.items() if leaky), None)
    looks = {first: (plots.VERMILION, 's'), GROUPED: (plots.BLUE, 'o')}
    rest = [name for name in heads if name not in looks]
    looks |= {name: (OTHER_COLORS[i % 4], OTHER_MARKERS[(i + i // 4) % 4]) for i, name in enumerate(rest)}
    series += [comparison_chart.Series(head, *looks[name]) for name, head in heads.items()]
    panels: dict[str, list[comparison_chart.ChartRow]] = {}
    for row in table.rows:
        points = [_point(row.estimates.get(name)) for name in heads]
        if shown['paper']:
            points.insert(0, None if row.printed is None else comparison_chart.Point(100 * row.printed, None))
        panels.setdefault(row.measure, []).append((row.experiment, points))
    title = f'{table.title} ({table.banner})' if table.banner else table.title
    return comparison_chart.dot_plot(panels, series, title=title)


def _point(estimate: Estimate | str | None) -> comparison_chart.Point | str | None:
    if not isinstance(estimate, Estimate):
        return estimate
    bounds = estimate.interval and (100 * estimate.interval[0], 100 * estimate.interval[1])
    return comparison_chart.Point(100 * estimate.value, bounds)
