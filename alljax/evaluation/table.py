"""Many experiments in one table, beside the numbers a paper printed, and how far each can be trusted."""

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from markupsafe import Markup

from alljax.evaluation import formatting, plots, report, table_chart
from alljax.storage.atomic import write_whole

PRINTED = 1000  # papers print two decimals of a percentage, as `readable` does for this many cells
INK = '#000000'
FURTHER = (plots.GREEN, plots.PURPLE, plots.ORANGE, plots.SKY)
MARKERS = ('^', 'v', 'P', 'X')
LEAKY = (
    'Copies of one cell, or cells of one slide, can stand on both sides of such a split, so its numbers are too high '
    'for new patients.'
)
INTERVALS = (
    'Beside each number the 95% interval with whole groups resampled, and n, its test cells. A gap, in percentage '
    'points, is more than noise where its interval excludes 0.'
)


class Number(NamedTuple):
    """A measured number."""

    value: float  # fraction of 1, or a difference of two
    interval: tuple[float, float] | None  # 95%, groups resampled; None where it cannot be had
    n: int  # test cells it rests on


class Line(NamedTuple):
    """One measure of one experiment."""

    cell: str  # the experiment, such as 'HSV, subtype'
    measure: str  # such as 'macro precision'
    printed: float | None  # the paper's number, fraction of 1
    numbers: Mapping[str, Number | str]  # column -> the number, or in words why there is none
    gap: Number | None  # the first leaky column minus 'grouped'; None if one is missing
    noise: Mapping[str, str]  # column -> 'reference', or how it differs from it: 'p = 0.43: within noise'


class Further(NamedTuple):
    """A second, smaller table below the first: a row for each experiment, numbers only."""

    name: str  # of its CSV file
    title: str
    heads: Mapping[str, Callable[[float], str]]  # head of a column -> how its numbers are printed
    rows: Mapping[str, Sequence[float | None]]  # experiment -> a number for each head, None where there is none
    note: str


class Table(NamedTuple):
    """All that a table prints."""

    title: str
    source: str  # what the paper's numbers are; '' if there are none
    columns: Mapping[str, bool]  # name -> whether its split is leaky
    lines: Sequence[Line]
    # cell -> 'paper' or a column -> class names and counts, rows = true classes
    confusions: Mapping[str, Mapping[str, tuple[Sequence[str], np.ndarray]]]
    notes: Sequence[str]
    banner: str  # 'synthetic cells', or ''
    command: str
    further: Further | None = None


def write(folder: Path, table: Table) -> None:
    """Write table.md, table.csv, table.html and table.png, each whole or not at all; makes the folder.

    The page is one file without scripts or outside addresses. The CSV file holds fractions of 1 as they are, the others
    percent. Paper, gap and noise are left out where no line has one. Raises ValueError for a table without lines.
    """
    if not table.lines:
        raise ValueError(f'the table {table.title!r} has no lines, expected one at least')
    png = _chart(table)
    texts = {'table.md': _markdown(table), 'table.csv': _csv(table), 'table.html': _html(table, png)}
    if table.further:
        texts[f'{table.further.name}.csv'] = _csv_of(_records(table.further))
    # a name that is not UTF-8 reaches us with surrogates, which no file can hold
    files = {name: text.encode('utf-8', errors='backslashreplace') for name, text in texts.items()}
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in {**files, 'table.png': png}.items():
        write_whole(folder / name, content)


def verdict(gap: Number) -> str:
    """Say whether a difference is 'more than noise': its interval excludes 0."""
    if gap.interval is None:
        return 'no interval: noise unknown'
    return 'within noise' if gap.interval[0] <= 0 <= gap.interval[1] else 'more than noise'


def points(difference: float, n: int) -> str:
    """Format a difference of fractions in signed percentage points, with the digits of `readable.percent`."""
    sign = '−' if difference < 0 else '+'
    return f'{sign}{formatting.percent(abs(difference), n)[:-1]}'


def _heads(table: Table) -> dict[str, str]:
    return {name: f'{name} (leaky)' if leaky else name for name, leaky in table.columns.items()}


def _shown(table: Table) -> dict[str, Any]:
    """The optional columns: True for the paper's numbers, the two columns of a gap, and the columns with a p value."""
    leaky = next((name for name, leaky in table.columns.items() if leaky), '')
    return {
        'paper': any(line.printed is not None for line in table.lines),
        'gap': f'{leaky} − grouped' if any(line.gap for line in table.lines) else '',
        'judged': [name for name in table.columns if any(line.noise.get(name) for line in table.lines)],
    }


def _markdown(table: Table) -> str:
    rows = [_words(table, line) for line in table.lines]
    leaky = [name for name, leaky in table.columns.items() if leaky]
    warnings = [
        *(
            [f'**{_plain(formatting.label(table.banner))}: these numbers say nothing about leukaemia.**']
            if table.banner
            else []
        ),
        *([f'**Leaky: {_plain(", ".join(leaky))}.** {LEAKY}'] if leaky else []),
    ]
    source = [f'Paper: {_plain(table.source)}.'] if _shown(table)['paper'] and table.source else []
    grid = [list(rows[0]), ['---'] * 2 + ['---:'] * (len(rows[0]) - 2), *(list(row.values()) for row in rows)]
    parts = [
        f'# {_plain(table.title)}',
        *warnings,
        '\n'.join(f'| {" | ".join(row)} |' for row in grid),
        ' '.join([*source, INTERVALS]),
        _markdown_of(table.further) if table.further else '',
        '\n'.join(f'- {_plain(note)}' for note in table.notes),
        'To repeat:',
        '\n'.join(f'    {line}' for line in table.command.splitlines()),
    ]
    return '\n\n'.join(part for part in parts if part) + '\n'


def _markdown_of(further: Further) -> str:
    grid = [['cell', *further.heads], ['---'] + ['---:'] * len(further.heads)]
    grid += [[_plain(cell), *words] for cell, words in said(further).items()]
    rows = '\n'.join(f'| {" | ".join(row)} |' for row in grid)
    return f'## {_plain(further.title)}\n\n{rows}\n\n{_plain(further.note)}'


def said(further: Further) -> dict[str, list[str]]:
    """The numbers of a further table as they are printed, by experiment."""
    return {
        cell: [
            formatting.MISSING if number is None else how(number)
            for how, number in zip(further.heads.values(), numbers, strict=True)
        ]
        for cell, numbers in further.rows.items()
    }


def _words(table: Table, line: Line) -> dict[str, str]:
    """A line as Markdown, by the heads of its columns."""
    shown, heads = _shown(table), _heads(table)
    words = {'cell': line.cell, 'measure': line.measure}
    if shown['paper']:
        words['paper'] = formatting.percent(line.printed, PRINTED)
    for name, head in heads.items():
        number = line.numbers.get(name, formatting.MISSING)
        words[head] = number if isinstance(number, str) else _sentence(number)
    if shown['gap']:
        words[f'gap: {shown["gap"]}'] = _difference(line.gap) if line.gap else formatting.MISSING
    words |= {f'{heads[name]}: against the reference': line.noise.get(name, '') for name in shown['judged']}
    return {_plain(head): _plain(text) for head, text in words.items()}


def _sentence(number: Number) -> str:
    bounds = formatting.interval(number.interval, number.n) if number.interval else 'no interval'
    return f'{formatting.percent(number.value, number.n)} ({bounds}, n = {number.n:,})'


def _difference(gap: Number) -> str:
    bounds = f' ({" to ".join(points(bound, gap.n) for bound in gap.interval)})' if gap.interval else ''
    return f'{points(gap.value, gap.n)} points{bounds}: {verdict(gap)}'


def _plain(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    return re.sub(r'([\\`*<>|\[\]])', r'\\\1', ' '.join(text.split()))


def _csv(table: Table) -> str:
    return _csv_of([_record(table, line) for line in table.lines])


def _records(further: Further) -> list[dict[str, Any]]:
    rows = further.rows.items()
    return [{'cell': cell, **dict(zip(further.heads, numbers, strict=True))} for cell, numbers in rows]


def _csv_of(records: list[dict[str, Any]]) -> str:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(records[0]), lineterminator='\n')
    writer.writeheader()
    writer.writerows(records)
    return file.getvalue()


def _record(table: Table, line: Line) -> dict[str, Any]:
    shown, heads = _shown(table), _heads(table)
    record: dict[str, Any] = {'cell': line.cell, 'measure': line.measure}
    if shown['paper']:
        record['paper'] = None if line.printed is None else float(line.printed)
    for name, head in heads.items():
        record |= _fields(head, line.numbers.get(name))
    if shown['gap']:
        record |= _fields('gap', line.gap)
        record['gap verdict'] = verdict(line.gap) if line.gap else None
    record |= {f'{heads[name]} against the reference': line.noise.get(name) for name in shown['judged']}
    return record | ({'remark': table.banner} if table.banner else {})


def _fields(head: str, number: Number | str | None) -> dict[str, Any]:
    names = [head, f'{head} low', f'{head} high', f'{head} n']
    if not isinstance(number, Number):
        return dict(zip(names, [number, None, None, None], strict=True))
    low, high = number.interval or (None, None)
    # NumPy's scalars print their type
    values = [None if x is None else float(x) for x in (number.value, low, high)]
    return dict(zip(names, [*values, int(number.n)], strict=True))


def _html(table: Table, png: bytes) -> str:
    environment = report.environment()
    environment.filters |= {'points': points, 'verdict': verdict}
    return environment.from_string(report.resource('table.html.jinja')).render(
        table=table,
        heads=_heads(table),
        shown=_shown(table),
        cells=[(cell, list(lines)) for cell, lines in groupby(table.lines, lambda line: line.cell)],
        confusions={
            cell: [(_heads(table).get(name, name), names, _shaded(matrix)) for name, (names, matrix) in found.items()]
            for cell, found in table.confusions.items()
        },
        printed=PRINTED,
        further=said(table.further) if table.further else {},
        leaky=[name for name, leaky in table.columns.items() if leaky],
        warning=LEAKY,
        intervals=INTERVALS,
        chart=report.data_uri(png),
        css=Markup(report.resource('report.css')),
    )


def _shaded(matrix: np.ndarray) -> list[list[tuple[str, float]]]:
    """Each count as text, with its share of the row."""
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    return [[(f'{x:,g}', float(s)) for x, s in zip(*row, strict=True)] for row in zip(matrix, share, strict=True)]


def _chart(table: Table) -> bytes:
    heads, shown = _heads(table), _shown(table)
    series = [table_chart.Series('paper', INK, 'D')] if shown['paper'] else []
    first = next((name for name, leaky in table.columns.items() if leaky), None)
    looks = {first: (plots.VERMILION, 's'), 'grouped': (plots.BLUE, 'o')}
    rest = [name for name in heads if name not in looks]
    looks |= {name: (FURTHER[i % 4], MARKERS[(i + i // 4) % 4]) for i, name in enumerate(rest)}
    series += [table_chart.Series(head, *looks[name]) for name, head in heads.items()]
    panels: dict[str, list[table_chart.Row]] = {}
    for line in table.lines:
        numbers = [_point(line.numbers.get(name)) for name in heads]
        if shown['paper']:
            numbers.insert(0, None if line.printed is None else table_chart.Point(100 * line.printed, None))
        panels.setdefault(line.measure, []).append((line.cell, numbers))
    return table_chart.dots(panels, series, title=f'{table.title} ({table.banner})' if table.banner else table.title)


def _point(number: Number | str | None) -> table_chart.Point | str | None:
    if not isinstance(number, Number):
        return number
    bounds = number.interval and (100 * number.interval[0], 100 * number.interval[1])
    return table_chart.Point(100 * number.value, bounds)
