"""The result of one variant under one protocol: the predictions of all its folds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int

from alljax.evaluation import intervals, metrics
from alljax.runs import results
from alljax.storage.run_folder import is_finished
from alljax.sweep.variants import Run


class VariantResult(NamedTuple):
    """The confusion matrices of one variant under one protocol, and the facts that its tests need."""

    classes: tuple[str, ...]
    counts: intervals.GroupedCounts  # over all runs
    fold_matrices: list[Int[np.ndarray, 'classes classes']]  # of each run
    correct_by_file: list[dict[str, bool]]  # of each run: file -> True if it was classified rightly
    test_train_ratio: float  # test cells over training cells of a run
    synthetic: bool
    grouping: str  # data.grouping of results.json: what the groups are; '' in runs of releases that do not say
    transductive: str = ''  # what of the unlabelled test cells the prediction used; '' for nothing

    @property
    def n(self) -> int:
        """The number of different pictures that were tested."""
        return len({file for run in self.correct_by_file for file in run})

    @property
    def repeats(self) -> int:
        """The number of times that a picture was tested, on average."""
        return max(1, round(int(self.counts.total().sum()) / self.n))


def read_result(folder: Path, runs: Sequence[Run], failed: Mapping[str, str]) -> VariantResult | str:
    """The result of runs that are all finished; else, in words, why there is none."""
    for run in runs:
        if run.folder in failed:
            return f'failed: {failed[run.folder]}'
    done = [run for run in runs if is_finished(folder / run.folder)]
    if len(done) < len(runs):
        return f'{len(done)} of {len(runs)} runs finished' if done else 'not run yet'
    facts = [results.read(folder / run.folder) for run in runs]
    classes = tuple(facts[0]['test']['confusion']['labels'])
    tables = [results.predictions(folder / run.folder) for run in runs]
    return of_tables(tables, classes, facts)


def of_tables(
    tables: Sequence[Sequence[Mapping[str, str]]], classes: tuple[str, ...], facts: Sequence[Mapping[str, Any]]
) -> VariantResult:
    """The result in the tables of predictions of several runs, and in their results.json."""
    label, prediction = (
        [np.array([classes.index(row[column]) for row in rows]) for rows in tables]
        for column in ('label', 'prediction')
    )
    names = [row['group'] for rows in tables for row in rows]
    _, groups = np.unique(names, return_inverse=True)
    return VariantResult(
        classes,
        intervals.confusion_by_group(np.concatenate(label), np.concatenate(prediction), groups, len(classes)),
        [metrics.confusion(*pair, len(classes)) for pair in zip(label, prediction, strict=True)],
        [{row['file']: row['label'] == row['prediction'] for row in rows} for rows in tables],
        float(np.mean([fact['split']['test_n'] / fact['split']['train_n'] for fact in facts])),
        facts[0]['data']['synthetic'],
        _grouping(facts[0]['data']),
        facts[0].get('transductive', {}).get('uses', ''),
    )


def _grouping(data: Mapping[str, Any]) -> str:
    """The kind of groups; earlier releases tell no more than that no two cells share one."""
    alone = data['groups'] == sum(data['counts'].values())
    return str(data.get('grouping', 'unknown' if alone else ''))
