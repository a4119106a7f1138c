"""The folder of a cross-validation as that of one run: pooled results, one report, and the card of its final model."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import alljax
from alljax.config.plan import CalibrationOptions, Plan
from alljax.data import datasets
from alljax.data.cells import Cells
from alljax.data.protocol import COPY_MARK
from alljax.evaluation import fold_table, intervals
from alljax.runs import data_check, environment, final_model, heat_maps, results, verdict_log
from alljax.runs.results import Results, Tested
from alljax.storage import heat_map_file, model_folder
from alljax.storage.calibration_record import OF_FOLDS, Calibration
from alljax.storage.card import Scores
from alljax.storage.log import said_before
from alljax.storage.run_folder import CROSS_VALIDATION, FINAL, RESULTS, is_finished
from alljax.sweep import fold_calibration, pooled
from alljax.sweep.fold_calibration import Folded
from alljax.sweep.pooled import Rows
from alljax.sweep.variants import Run

# Parts of results.json that are those of the folds, as far as these agree.
COMMON = ('pretraining', 'transductive', 'prediction', heat_maps.PART)


class Folds(NamedTuple):
    """The runs of a cross-validation, all finished, and what they found."""

    runs: Sequence[Run]
    facts: Sequence[Results]  # results.json of each
    tables: Sequence[Rows]  # predictions.csv of each

    @property
    def rows(self) -> Rows:
        """The rows of all tables, in the order of the pooled predictions.csv."""
        return [
            {**row, 'fold': str(run.fold), 'repeat': str(run.repeat)}
            for run, table in zip(self.runs, self.tables, strict=True)
            for row in table
        ]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes in the order of the probabilities."""
        return tuple(self.facts[0]['test']['confusion']['labels'])

    @property
    def repeats(self) -> int:
        """The number of repetitions."""
        return len({run.repeat for run in self.runs})


def forget_unfinished(folder: Path, runs: Sequence[Run]) -> None:
    """Deletes the pooled results of a folder some of whose folds are to be done, so that it does not seem finished."""
    if not all(is_finished(folder / run.folder) for run in runs if not run.final):
        (folder / RESULTS).unlink(missing_ok=True)


def write(folder: Path, plans: Sequence[tuple[Run, Plan]], options: CalibrationOptions) -> None:
    """Writes results.json, report.html and confusion.png of all folds together, beside their pooled predictions.csv.

    The card of the final model, if it is trained, gets the pooled accuracy and, if the `options` ask for it, the
    calibration that the folds give. Nothing is written if a fold is not finished or a cell was not tested as often as
    the others.
    """
    runs = [run for run, _ in plans if not run.final]
    if not all(is_finished(folder / run.folder) for run in runs):
        return
    places = [folder / run.folder for run in runs]
    found = Folds(runs, [results.read(place) for place in places], [results.predictions(place) for place in places])
    if pooled.problem(found.runs, found.tables, found.facts):
        return
    plan = plans[0][1]
    final = folder / FINAL if any(run.final for run, _ in plans) and is_finished(folder / FINAL) else None
    calibrated, about = _calibration(found, plan, options)
    whole = {**_results(found, final), **about}
    if final:
        _note(final / 'model', whole, found, calibrated, options)
        whole = results.with_externals(whole, final_model.external_tests(results.read(final)))
    cells = _pictured(found, plan, folder)
    results.write_report(folder, whole, cells, {}, [])
    verdict_log.write(folder)


def _results(found: Folds, final: Path | None) -> Results:
    """The content of results.json, but for the calibration and external tests."""
    facts, runs = found.facts, found.runs
    rows, classes = found.rows, found.classes
    test = pooled.scores(found.tables, classes, found.repeats)
    folds = [
        {
            'folder': run.folder,
            'repeat': run.repeat,
            'fold': run.fold,
            'n': one['test']['n'],
            'accuracy': one['test']['accuracy'],
            'groups': one['split']['groups']['test'],
            'train_n': one['split']['train_n'],
            'copies': one['split'].get('copies', 0),  # among these, but in the protocol 'paper'
        }
        for run, one in zip(runs, facts, strict=True)
    ]
    protocol = facts[0]['split']['protocol']
    return {
        'alljax': alljax.__version__,
        'command': environment.command(),
        'demo': facts[0]['demo'],
        'data': facts[0]['data'],
        'split': {
            'protocol': protocol,
            'leaky': facts[0]['split']['leaky'],
            **{f'{side}_n': _mean(one['split'][f'{side}_n'] for one in facts) for side in ('train', 'validation')},
            'test_n': len(rows),
            'groups': {
                **{side: _mean(one['split']['groups'][side] for one in facts) for side in ('train', 'validation')},
                'test': len({row['group'] for row in rows}),
            },
            'train_counts': {name: _mean(one['split']['train_counts'][name] for one in facts) for name in classes},
            'test_counts': {name: sum(row['label'] == name for row in rows) for name in classes},
            'copies': _mean(one['split'].get('copies', 0) for one in facts),
            'note': 'training and validation are means over the folds, the test cells those of all',
        },
        'test': test,
        CROSS_VALIDATION: {
            'name': fold_table.name(protocol, len({run.fold for run in runs}), found.repeats),
            'cells': min(len({row['file'] for row in rows}), sum(facts[0]['data']['counts'].values())),  # not copies
            'repeats': found.repeats,
            'folds': folds,
            'final': FINAL if final else '',
        },
        'model': _same(facts, 'model'),
        'train': _training(facts),
        **{part: _same(facts, part) for part in COMMON if all(part in one for one in facts)},
        **({'weights': facts[0]['weights']} if all('weights' in one for one in facts) else {}),
        'seed': facts[0]['seed'],
        'environment': facts[0]['environment'],
    }


def _training(facts: Sequence[Results]) -> Results:
    """The facts of training in which the folds agree, the seconds of all, and the mean accuracy on training cells."""
    each = [one['train'] for one in facts]
    found = {**_same(facts, 'train'), 'seconds': round(sum(one.get('seconds', 0) for one in each), 1)}
    accuracies = [one.get('accuracy') for one in each]
    return found if None in accuracies else {**found, 'accuracy': float(np.mean(accuracies))}


def _mean(values: Any) -> int:  # Any: numbers
    return round(float(np.mean([*values])))


def _same(facts: Sequence[Results], part: str) -> Results:
    """The values of one part in which all folds agree; a model keeps its name, or the names that it has."""
    first = facts[0][part]
    kept = {key: value for key, value in first.items() if all(one[part].get(key) == value for one in facts)}
    if part == 'model':
        kept = {'name': ', '.join(dict.fromkeys(one[part]['name'] for one in facts)), **kept}
    return kept


def _calibration(
    found: Folds, plan: Plan, options: CalibrationOptions
) -> tuple[Calibration | None, Mapping[str, Results]]:
    """The calibration that the folds give to a final model, if it is asked for, and that part of results.json."""
    if options.fit == 'folds':
        judged = pooled.judged(found.rows, found.classes)
        if not plan.system:
            judged = fold_calibration.with_unprinted(judged)
        sizes = [len(table) for table in found.tables]
        folded = Folded(
            judged,
            np.repeat([run.fold for run in found.runs], sizes),
            np.repeat([run.repeat for run in found.runs], sizes),
            len({row['file'] for row in found.rows}),
        )
        known, whole = fold_calibration.fitted(folded, options)
        return known, {'calibration': whole}
    about = pooled.calibrated(found.tables, found.facts)
    if about:
        each = [{**one['calibration']} for one in found.facts]
        for one in each:
            del one['test']
        wanted = {name: each[0][name] for name in ('coverage', 'accuracy')}
        about = {'calibration': {**wanted, 'folds': each, 'test': about['calibration']}}
    return None, about


def _note(
    model: Path, whole: Results, found: Folds, calibrated: Calibration | None, options: CalibrationOptions
) -> None:
    """Notes on the card of the final model what the folds say about it."""
    test, split = whole['test'], whole['split']
    low, high = intervals.quoted(test['accuracy_ci95'])
    scores = Scores(
        accuracy=test['accuracy'],
        low=low,
        high=high,
        cells=whole[CROSS_VALIDATION]['cells'],
        protocol=split['protocol'],
        leaky=split['leaky'],
        source=final_model.SOURCE,
        folds=len({run.fold for run in found.runs}),
        grouping=whole['data'].get('grouping', ''),
    )
    model_folder.add_scores(model, scores)
    before = model_folder.read_card(model).calibration
    if calibrated or (before and before.source == OF_FOLDS):
        model_folder.add_calibration(model, calibrated)


def _pictured(found: Folds, plan: Plan, folder: Path) -> Tested:
    """The test cells of the first repetition with pictures, as they were read, heat maps and probabilities.

    A copy that was tested, as the protocol 'paper' does, is shown by the picture that it is a copy of.
    """
    with said_before('alljax.data'):  # at the start, of the same cells
        cells: Cells = datasets.load(plan.data, plan.seed)
    data_check.same_data(found.facts[0]['data']['fingerprint'], cells, folder)
    first = str(found.runs[0].repeat)
    rows = [row for row in found.rows if row['repeat'] == first]
    place = {name: number for number, name in enumerate(cells.names)}
    names = [row['file'] for row in rows]
    index = np.array([place[name] if name in place else place[name.rpartition(COPY_MARK)[0]] for name in names])
    shown = replace(cells.take(index), names=tuple(names))
    maps: dict[str, bytes] = {}  # each by the model of its fold
    for run in found.runs:
        if str(run.repeat) == first:
            maps |= heat_map_file.read(folder / run.folder)
    return Tested(shown, pooled.judged(rows, found.classes).probabilities, found.rows, maps)
