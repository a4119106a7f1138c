"""The predictions of several runs as one: those of a cross-validation on its own cells, and those on a second set."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from alljax.evaluation import formatting, intervals
from alljax.evaluation.comparison_table import PRINTED, ExtraTable
from alljax.runs import calibration, results
from alljax.runs.results import Judged, Results
from alljax.storage.atomic import write_json
from alljax.storage.text_files import csv_text, write_text
from alljax.sweep.variants import Run

PREDICTIONS, NUMBERS = 'predictions.csv', 'pooled.json'
Rows = Sequence[Mapping[str, str]]  # of a table of predictions
NOTE = (
    'Each line of all runs counts once. The interval is that of the accuracy, with whole groups resampled. A model '
    'whose probabilities are right has a mean confidence that equals its accuracy, and a calibration error of 0.'
)


def _share(fraction: float) -> str:
    return formatting.percent(fraction, PRINTED)


COLUMNS: Mapping[str, Callable[[float], str]] = {
    'predictions': '{:,.0f}'.format,
    'accuracy': _share,
    'low': _share,
    'high': _share,
    'macro recall': _share,
    'calibration error': _share,
    'mean confidence': _share,
}
CALIBRATED: Mapping[str, Callable[[float], str]] = {  # where runs are calibrated
    'error before': _share,
    'covered': _share,
    'set size': '{:.2f}'.format,
    'answered': _share,
    'accuracy of answered': _share,
}


class CrossValidation(NamedTuple):
    """The runs of one variant under one protocol, all finished."""

    variant: str
    protocol: str
    place: Path  # of its table of predictions, in the folder of the sweep
    runs: Sequence[Run]


def write(folder: Path, found: Sequence[CrossValidation]) -> dict[str, Results | str]:
    """Writes the pooled predictions of each cross-validation, and all their numbers as pooled.json.

    Gives these numbers by name; in words what is wrong where a cell was not tested once a repetition. Nothing is
    written for single runs.
    """
    numbers: dict[str, Results | str] = {}
    several = len({one.variant for one in found}) > 1 or len({one.protocol for one in found}) > 1
    for one in (one for one in found if len(one.runs) > 1):
        name = f'{one.variant}, {one.protocol}' if several else one.variant
        tables = [results.predictions(folder / run.folder) for run in one.runs]
        facts = [results.read(folder / run.folder) for run in one.runs]
        classes = tuple(facts[0]['test']['confusion']['labels'])
        if wrong := problem(one.runs, tables, facts):
            numbers[name] = wrong
            continue
        (folder / one.place).parent.mkdir(parents=True, exist_ok=True)
        write_text(folder / one.place, _csv(one.runs, tables))
        numbers[name] = {
            'variant': one.variant,
            'protocol': one.protocol,
            'leaky': facts[0]['split'].get('leaky', one.protocol != 'grouped'),
            'synthetic': facts[0]['data']['synthetic'],
            'folds': len({run.fold for run in one.runs}),
            'repeats': len({run.repeat for run in one.runs}),
            'cells': len({row['file'] for rows in tables for row in rows}),
            'predictions': one.place.as_posix(),
            **scores(tables, classes, len({run.repeat for run in one.runs})),
            **calibrated(tables, facts),
        }
    if numbers:
        good = [values for values in numbers.values() if not isinstance(values, str)]
        bad = {name: words for name, words in numbers.items() if isinstance(words, str)}
        write_json(folder / NUMBERS, {'cross_validations': good, 'incomplete': bad})
    return numbers


def problem(runs: Sequence[Run], tables: Sequence[Rows], facts: Sequence[Results]) -> str:
    """A sentence on why the predictions of finished runs cannot be pooled; '' if they can."""
    names = {f'probability_{name}' for name in facts[0]['test']['confusion']['labels']}
    if not all(names <= rows[0].keys() for rows in tables):
        return 'its predictions have no probabilities'
    return incomplete(runs, tables, facts)


def incomplete(runs: Sequence[Run], tables: Sequence[Rows], facts: Sequence[Results]) -> str:
    """A sentence on cells that were not tested once a repetition; '' if each was.

    Of a hold-out that is repeated not every cell is tested, but none twice in one repetition.
    """
    tested: dict[int, Counter[str]] = defaultdict(Counter)
    for run, rows in zip(runs, tables, strict=True):
        tested[run.repeat].update(row['file'] for row in rows)
    for repeat, counts in tested.items():
        twice = [file for file, count in counts.items() if count > 1]
        if twice:
            return f'repetition {repeat + 1} tests {twice[0]} more than once'
    if len({run.fold for run in runs}) < 2:
        return ''
    copies = facts[0]['split'].get('copies', 0) if runs[0].protocol == 'paper' else 0
    expected = sum(facts[0]['data']['counts'].values()) + copies
    for repeat, counts in tested.items():
        if len(counts) != expected:
            return f'repetition {repeat + 1} tests {len(counts)} cells, expected {expected}'
    return ''


def scores(tables: Sequence[Rows], classes: tuple[str, ...], repeats: int = 1) -> Results:
    """Every measure of the rows of all tables together, groups known by name; of as many repetitions."""
    return results.scores(judged([row for table in tables for row in table], classes), classes, repeats)


def judged(rows: Rows, classes: tuple[str, ...]) -> Judged:
    """The rows of tables of predictions as arrays, groups known by name."""
    number = {name: place for place, name in enumerate(classes)}
    labels, predicted = (np.array([number[row[key]] for row in rows]) for key in ('label', 'prediction'))
    probabilities = np.array([[float(row[f'probability_{name}']) for name in classes] for row in rows])
    groups = np.unique([row['group'] for row in rows], return_inverse=True)[1]
    return Judged(labels, predicted, probabilities, groups)


def table(name: str, title: str, note: str, numbers: Mapping[str, Results | str]) -> ExtraTable | None:
    """The numbers as a small table; None if there are none."""
    good = {row: values for row, values in numbers.items() if not isinstance(values, str)}
    further = CALIBRATED if any('calibration' in values for values in good.values()) else {}
    rows = {row: [*_line(values), *_certainty(values, further)] for row, values in good.items()}
    return ExtraTable(name, title, {**COLUMNS, **further}, rows, note) if rows else None


def _line(values: Results) -> list[float | None]:
    low, high = intervals.quoted(values['accuracy_ci95'])
    shown = ('macro_recall', 'calibration_error', 'mean_confidence')
    return [float(values['n']), values['accuracy'], low, high, *(values[key] for key in shown)]


def _certainty(values: Results, columns: Iterable[str]) -> list[float | None]:
    known = values.get('calibration', {})
    return [known.get(column.replace(' ', '_')) for column in columns]


def calibrated(tables: Sequence[Rows], facts: Sequence[Results]) -> Results:
    """The `calibration` of pooled predictions, where each run is calibrated."""
    if not all('calibration' in found for found in facts):
        return {}
    rows = [row for table in tables for row in table]
    return {'calibration': calibration.pooled(rows, facts[0]['calibration']['coverage'])}


def _csv(runs: Sequence[Run], tables: Sequence[Rows]) -> str:
    columns = list(tables[0][0])
    lines: list[list[Any]] = [
        [*(row[column] for column in columns), run.fold, run.repeat]
        for run, rows in zip(runs, tables, strict=True)
        for row in rows
    ]
    return csv_text([*columns, 'fold', 'repeat'], lines, end='\r\n')
