"""Predictions of pictures whose class is known, scored as a test set is: measures, intervals, confusion matrix."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alljax.data.class_folders import KnownCells
from alljax.errors import some
from alljax.evaluation import formatting, intervals
from alljax.predict import Row
from alljax.runs import results
from alljax.runs.own_cells import OwnCells
from alljax.runs.results import Judged, Results

PRINTED = 12  # classes at most whose confusion matrix a terminal shows
WIDEST = 14  # characters of a class name there
CORNER = 'true \\ predicted'


class Scored(NamedTuple):
    """The result of predictions on pictures whose class is known."""

    test: Results  # as the `test` part of results.json
    groups: int
    known: KnownCells
    seen: int  # of the scored pictures, those that are of the run's data set and none of its test cells
    all_own: bool  # every scored picture is a test cell of the run
    compared: bool  # with the files of the run's data set, which are there
    unread: int  # pictures whose class is known, but that could not be read
    again: int = 0  # rows of a picture that has one already, as where a folder and one in it are named

    @property
    def interval(self) -> list[float]:
        """The interval of the accuracy to quote: over groups if they are known, else Wilson's."""
        bounds = self.test['accuracy_ci95']
        return bounds['wilson'] if self.known.grouping == 'unknown' else intervals.quoted(bounds)


def scored(rows: Sequence[Row], classes: tuple[str, ...], known: KnownCells, own: OwnCells | None) -> Scored | None:
    """The score of the rows whose class is known; None if there is none. `own` are the cells of the model's run.

    A picture counts once, however often it is named, by whatever path.
    """
    readable = [row for row in rows if row.label and row.probabilities is not None]
    first: dict[Path, Row] = {}
    for row in readable:
        first.setdefault(Path(row.file).resolve(), row)
    judged = [*first.values()]
    if not judged:
        return None
    labels = np.array([classes.index(row.label) for row in judged], np.int32)
    probabilities = np.stack([row.probabilities for row in judged if row.probabilities is not None])
    names, groups = np.unique([known.cells[Path(row.file)].group for row in judged], return_inverse=True)
    found = Judged(labels, probabilities.argmax(1), probabilities, groups.astype(np.int32))
    sides = own.sides(Path(row.file) for row in judged) if own else []
    return Scored(
        results.scores(found, classes),
        len(names),
        known,
        sides.count('seen'),
        sides.count('unseen') == len(judged),
        own is not None and own.root.is_dir(),
        sum(bool(row.label) for row in rows) - len(readable),
        len(readable) - len(judged),
    )


def lines(found: Scored) -> list[str]:
    """The score in words."""
    test = found.test
    matrix = np.array(test['confusion']['matrix'])
    return [
        f'{test["n"]} pictures of known class: {int(np.trace(matrix))} right, accuracy '
        f'{formatting.percent(test["accuracy"], test["n"])} (95% {formatting.interval(found.interval, test["n"])}), '
        f'macro recall {formatting.percent(test["macro_recall"], test["n"])}',
        *sentences(found),
    ]


def sentences(found: Scored) -> list[str]:
    """The words that belong beside the numbers: about what the interval is, and what was not scored or not checked."""
    said = [_about_interval(found)]
    if found.seen:
        count = 'all' if found.seen == found.test['n'] else f'{found.seen:,} of {found.test["n"]:,}'
        said.append(
            f'Leaky: {count} of these pictures are of the cells that the model was made with, so the accuracy says '
            'what it remembers, not how it fares on new cells.'
        )
    elif not found.all_own:
        none = 'None is a file of the run’s data set; it' if found.compared else 'It'
        said.append(
            f'{none} was not checked whether any shows a cell that trained the model: alljax train '
            '--evaluate_on=FOLDER --workdir=RUN does so.'
        )
    if found.known.others:
        kinds = some([f'{name} {count:,}' for name, count in found.known.others.items()])
        said.append(f'Not scored, since no folder or table names a class of the model for them: {kinds}.')
    if found.again:
        said.append(f'Scored once, though named more than once: {found.again:,} lines are of a picture above them.')
    if found.unread:
        said.append(f'Not scored, since they could not be read: {found.unread:,}.')
    return said


def _about_interval(found: Scored) -> str:
    grouping = found.known.grouping
    if grouping == 'unknown':
        return (
            'The interval is Wilson’s, as if each cell stood alone: slides are unknown, so it is too narrow if some '
            'share one. Name them in a cells.csv (file,label,group) beside the class folders.'
        )
    if found.interval == found.test['accuracy_ci95']['wilson']:
        few = 'all cells are of one group' if found.groups == 1 else 'the groups do not differ'
        return f'The interval is Wilson’s, as if each cell stood alone, since {few}: it is too narrow.'
    kind = 'patients or slides' if grouping == 'patient or slide' else 'repeats of one cell; slides are unknown'
    return f'The interval is over {found.groups:,} groups ({kind}).'


def table(found: Scored) -> list[str]:
    """The confusion matrix as lines of text: rows are true classes that have cells, columns are all classes."""
    names, matrix = found.test['confusion']['labels'], np.array(found.test['confusion']['matrix'])
    if len(names) > PRINTED:
        return [f'the confusion matrix has {len(names)} classes: --html shows it']
    short = [name if len(name) <= WIDEST else f'{name[: WIDEST - 1]}…' for name in names]
    first = max(len(CORNER), *map(len, short))
    widths = [max(len(name), 5) for name in short]
    heading = '  '.join(name.rjust(width) for name, width in zip(short, widths, strict=True))
    text = [f'{CORNER.ljust(first)}  {heading}']
    for name, row in zip(short, matrix, strict=True):
        if row.sum():
            counts = '  '.join(str(count).rjust(width) for count, width in zip(row, widths, strict=True))
            text.append(f'{name.ljust(first)}  {counts}')
    return text
