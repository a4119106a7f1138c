"""The protocol by which cells should be tested: how many slides each class has decides it."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from alljax.data.cells import Cells
from alljax.data.split import LEAVE_ONE, SEED_STEP, Index, by_group, by_group_folds, leave_one_group_out
from alljax.errors import UserError
from alljax.runs.advice.scores import FOLDS, REPEATS, Fold

FEW = 3  # slides of a class: with fewer its number means little
MOST_LEFT_OUT = 60  # slides that are left out one by one
VALIDATION = 0.2  # of the training side


class ClassCount(NamedTuple):
    """A class and the slides that hold it."""

    name: str
    cells: int
    slides: int
    largest: float  # share of its cells that the slide with most of them holds
    alone: bool  # True if none of its slides holds another class


class Protocol(NamedTuple):
    """A split by slide."""

    name: str  # a value of split.protocol
    folds: int
    repeats: int
    validation: bool  # True if part of the training side can be set aside, whole slides, in every fold


def class_counts(cells: Cells) -> list[ClassCount]:
    """Cells and slides of each class."""
    found = []
    for label, name in enumerate(cells.classes):
        own = cells.groups[cells.labels == label]
        slides, number = np.unique(own, return_counts=True)
        alone = not np.isin(cells.groups[cells.labels != label], slides).any()
        found.append(ClassCount(name, len(own), len(slides), float(number.max(initial=0) / max(1, len(own))), alone))
    return found


def testable(cells: Cells) -> Index:
    """The cells whose class is on two slides or more: of another none can train while its slide is tested."""
    kept = [label for label, count in enumerate(class_counts(cells)) if count.slides > 1]
    return np.flatnonzero(np.isin(cells.labels, kept))


def of_rows(cells: Cells, rows: Index) -> Cells:
    """The cells at `rows`, with those classes only that they have."""
    kept = np.unique(cells.labels[rows])
    chosen = cells.take(rows)
    labels = np.searchsorted(kept, chosen.labels).astype(np.int32)
    return replace(chosen, labels=labels, classes=tuple(cells.classes[label] for label in kept))


def by_slide(cells: Cells) -> tuple[Protocol, list[list[Fold]]] | None:
    """The split by slide, and its folds of each repeat, for classes that are on two slides or more; None if none is.

    Five folds, three times, where every class is on five slides; with fewer, one slide is left out at a time, so that
    as many as possible train.
    """
    slides, fewest = len(np.unique(cells.groups)), min((count.slides for count in class_counts(cells)), default=0)
    if len(cells.classes) < 2 or fewest < 2:
        return None
    grouped = Protocol('grouped', min(FOLDS, fewest), REPEATS, False)
    left_out = Protocol(LEAVE_ONE, slides, 1, False)
    for asked in (left_out, grouped) if fewest < FOLDS and slides <= MOST_LEFT_OUT else (grouped, left_out):
        try:
            folds = _folds(cells, asked)
        except UserError:  # a class would not be trained
            continue
        return asked._replace(validation=fewest > FEW and _can_validate(cells, folds[0])), folds
    return None


def _folds(cells: Cells, asked: Protocol) -> list[list[Fold]]:
    """Training and test cells as a run divides them; UserError if a class cannot be on the training side."""
    if asked.name == LEAVE_ONE:
        return [[leave_one_group_out(cells, fold) for fold in range(asked.folds)]]
    return [by_group_folds(cells, asked.folds, SEED_STEP * repeat) for repeat in range(asked.repeats)]


def _can_validate(cells: Cells, folds: list[Fold]) -> bool:
    """True if whole slides of each training side can be set aside with every class on both sides."""
    try:
        for train, _ in folds:
            by_group(cells, train, VALIDATION, 0)
    except UserError:
        return False
    return True
