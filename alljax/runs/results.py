"""The results of a run, in the files that people and programs read."""

import csv
import logging
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from alljax.data.cells import Cells
from alljax.data.pictures_by_file import PicturesByFile
from alljax.data.split import Split
from alljax.errors import UserError
from alljax.evaluation import formatting, intervals, metrics, mistakes, report
from alljax.evaluation.prediction_rows import Rows
from alljax.runs import model_card, prediction_table
from alljax.runs.prediction_table import Columns
from alljax.storage import checksums, heat_map_file
from alljax.storage.atomic import write_json
from alljax.storage.checksums import Damaged
from alljax.storage.heat_map_file import HeatMaps
from alljax.storage.json_records import read_object
from alljax.storage.run_folder import RESULTS
from alljax.storage.text_files import csv_rows
from alljax.training import inference

log = logging.getLogger(__name__)

Results = dict[str, Any]


class Judged(NamedTuple):
    """Cells and what a model says of them."""

    labels: Integer[np.ndarray, ' cells']
    predicted: Integer[np.ndarray, ' cells']
    probabilities: Float[np.ndarray, 'cells classes']
    groups: Integer[np.ndarray, ' cells']


class TestOutput(NamedTuple):
    """The test cells of a run: what the model says of them, and about itself."""

    found: Results  # parts of results.json: 'model', 'train', 'seconds_a_cell', …
    logits: Float[np.ndarray, 'test classes']
    figures: Mapping[str, Path]  # heading in the report → PNG file that is drawn already
    columns: Columns = MappingProxyType({})  # further ones of predictions.csv
    heat_maps: HeatMaps = MappingProxyType({})


class Tested(NamedTuple):
    """Tested cells, with their pictures, and what the model says of them."""

    cells: Cells
    probabilities: Float[np.ndarray, 'cells classes']
    rows: Rows  # of predictions.csv: of a cross-validation those of all repetitions
    heat_maps: HeatMaps = MappingProxyType({})


PREDICTIONS, METRICS = 'predictions.csv', 'metrics.jsonl'
FILES, CHECKSUM = 'files', 'checksum'  # keys of results.json: checksums of other files, and of all its other values
FURTHER = {
    'segmentation': 'Segmentation of the test cells', 'seconds_a_cell': 'Seconds a cell',
    'prediction': 'Views of each cell whose probabilities are averaged', 'unlike': 'Unlike the training cells',
}  # fmt: skip


def score(cells: Cells, logits: Float[np.ndarray, 'cells classes']) -> Results:
    """The `test` part of results.json for cells and their logits."""
    judged = Judged(cells.labels, logits.argmax(1), inference.probabilities(logits, 'the model'), cells.groups)
    return scores(judged, cells.classes)


def scores(judged: Judged, classes: tuple[str, ...], repeats: int = 1) -> Results:
    """Every measure of judged cells, each judged `repeats` times, with the intervals of those that are quoted."""
    labels, predicted, probabilities, groups = judged
    counts = intervals.confusion_by_group(labels, predicted, groups, len(classes))
    found = metrics.scores(counts.total(), classes)
    interval = {
        'wilson': intervals.wilson(int((predicted == labels).sum()), len(labels), repeats=repeats),
        'bootstrap_groups': intervals.group_bootstrap(counts, metrics.OVERALL['accuracy']),
    }
    ranked = metrics.probability_scores(labels, probabilities, classes)
    for name, row in ranked.pop('per_class').items():
        found['per_class'][name] |= row
    return {
        'n': len(labels),
        'accuracy': found.pop('accuracy'),
        'accuracy_ci95': interval,
        **{
            f'{name}_ci95': intervals.group_bootstrap(counts, metrics.OVERALL[name])
            for name in ('macro_precision', 'macro_recall')
        },
        **found,
        **ranked,
        'mean_confidence': float(probabilities.max(1).mean()),
    }


def about_data(cells: Cells) -> Results:
    """The `data` part of results.json."""
    origin = cells.origin
    return {
        'name': origin.name,
        'synthetic': origin.synthetic,
        'fingerprint': origin.fingerprint,
        'counts': cells.counts(),
        'groups': len(set(cells.groups)),
        'grouping': origin.grouping,  # what the groups are: 'patient or slide', 'repeats only' or 'unknown'
        'root': origin.root,
        'notes': list(origin.notes),
    }


def about_split(cells: Cells, split: Split) -> Results:
    """The `split` part of results.json."""
    sides = {'train': split.train, 'validation': split.validation, 'test': split.test}
    return {
        'protocol': split.protocol,
        'leaky': split.leaky,
        **{f'{side}_n': len(index) for side, index in sides.items()},
        'groups': {side: len(set(cells.groups[index])) for side, index in sides.items()},
        **{f'{side}_counts': cells.take(index).counts() for side, index in sides.items()},
    }


def write(
    workdir: Path,
    results: Results,
    cells: Cells,
    output: TestOutput,
    history: list[dict[str, Any]],
) -> None:
    """predictions.csv, heat maps, the figures, report.html and, last, results.json, for the test cells."""
    probabilities = inference.probabilities(output.logits, workdir / 'model')
    rows = prediction_table.write(workdir / PREDICTIONS, cells, probabilities, output.columns)
    heat_map_file.write(workdir, output.heat_maps)
    write_report(workdir, results, Tested(cells, probabilities, rows, output.heat_maps), output.figures, history)


def write_report(
    workdir: Path,
    results: Results,
    tested: Tested,
    drawn: Mapping[str, Path],
    history: list[dict[str, Any]],
) -> None:
    """The figures, report.html and, last, results.json, beside the predictions.csv that is there.

    `tested` are the cells whose pictures the report may show; `drawn` has figures that there are already.
    """
    from alljax.evaluation import gradient_curves, plots  # bring matplotlib, for which no prediction should wait

    cells, probabilities, rows, maps = tested
    title = _banner(results)
    matrix = np.array(results['test']['confusion']['matrix'])
    plots.confusion_matrix(matrix, cells.classes, workdir / 'confusion.png', title=title)
    groups = [cells.group_names[group] for group in cells.groups]
    worst = mistakes.most_confident(probabilities, cells.labels, cells.images, cells.names, groups, cells.classes)
    figures = {'Confusion matrix': workdir / 'confusion.png', **drawn}
    if history:
        figures['Training'] = workdir / 'curves.png'
        best_epoch = results['train'].get('best_epoch')
        plots.training_curves(history, workdir / 'curves.png', best_epoch=best_epoch, title=title)
    if gradient_curves.has_gradients(history):
        figures['Gradients, layer by layer; the new layers in orange'] = workdir / 'gradients.png'
        gradient_curves.curves(history, workdir / 'gradients.png', title=title)
    results |= {'finished': datetime.now(UTC).isoformat(timespec='seconds')}
    facts = {label: results[part] for part, label in FURTHER.items() if part in results}
    shown = report.TestedCells(rows, PicturesByFile(cells))
    page = workdir / 'report.html'
    report.write(page, results, mistakes=worst, figures=figures, facts=facts, tested=shown, heat_maps=maps)
    model_card.write(workdir, results, rows)
    _write_with_checksums(workdir, results, {})


def write_results(workdir: Path, results: Results) -> None:
    """The results.json of a run that writes its other files itself, with the time of its end."""
    _write_with_checksums(workdir, {**results, 'finished': datetime.now(UTC).isoformat(timespec='seconds')}, {})


def _write_with_checksums(workdir: Path, results: Results, known: Mapping[str, str]) -> None:
    """Writes results.json, with the checksums of the files that it speaks of, where they are not known."""
    names = [PREDICTIONS, METRICS, *(entry['predictions'] for entry in externals(results))]
    new = [name for name in names if name not in known and (workdir / name).is_file()]
    results = {**results, FILES: {**known, **{name: checksums.of_file(workdir / name) for name in new}}}
    write_json(workdir / RESULTS, {**results, CHECKSUM: checksums.of_values(results)})


def read(workdir: Path) -> Results:
    """The results.json of a finished run; UserError, with the remedy, for a damaged one."""
    try:
        found = dict(read_object(workdir / RESULTS))
        for part in ('data', 'split', 'test'):
            if not isinstance(found.get(part), dict):
                raise Damaged(f'has no {part}')
        if CHECKSUM in found and found.pop(CHECKSUM) != checksums.of_values(found):
            raise Damaged('is not as it was written')
    except Damaged as error:
        raise _damaged(workdir, RESULTS, error) from None
    return found


def check_history(workdir: Path) -> None:
    """Says in the log if the metrics of a finished run are not as they were at its end."""
    if not (workdir / RESULTS).is_file():
        return
    with suppress(UserError):  # a damaged results.json is written again
        expected = read(workdir).get(FILES, {}).get(METRICS)
        if expected and checksums.of_file(workdir / METRICS) != expected:
            log.warning('%s: is not as it was at the end of training; its curves may be wrong', workdir / METRICS)


def correct_by_file(workdir: Path) -> dict[str, bool]:
    """The test cells of a finished run, by file: True where the class is right, in the first repetition of several."""
    rows = predictions(workdir)
    first = rows[0].get('repeat')
    return {row['file']: row['label'] == row['prediction'] for row in rows if row.get('repeat') == first}


def predictions(workdir: Path) -> list[dict[str, str]]:
    """The rows of a finished run's predictions.csv; UserError for a damaged one, and for a run without test cells."""
    finished = read(workdir)
    if finished['test'].get('n') == 0:
        raise UserError(f'{workdir}: has trained on all cells and tested none; name a run that tests some, as a fold')
    return _rows(workdir, PREDICTIONS, finished, finished['split'].get('test_n'))


def external_predictions(workdir: Path, entry: Results) -> list[dict[str, str]]:
    """The rows of the predictions of an external test; UserError, with the remedy, for damaged ones."""
    return _rows(workdir, entry['predictions'], read(workdir), entry['n'])


def _rows(workdir: Path, name: str, finished: Results, count: int | None) -> list[dict[str, str]]:
    try:
        if FILES in finished:  # a release before had no checksums
            checksums.check_files(workdir, {name: finished[FILES].get(name, '')})
        rows = csv_rows((workdir / name).read_text(encoding='utf-8'))
        if not rows or not all({'file', 'label', 'prediction'} <= row.keys() for row in rows):
            raise Damaged('has no rows of file, label and prediction')
        if len(rows) != count:
            raise Damaged(f'has {len(rows)} rows, expected {count}')
    except (OSError, ValueError, csv.Error, Damaged) as error:
        raise _damaged(workdir, name, error) from None
    return rows


def externals(results: Results) -> list[Results]:
    """The external tests in a results.json, which holds one as an object and several as a list of them."""
    found = results.get('external', [])
    return [found] if isinstance(found, dict) else list(found)


def with_externals(results: Results, entries: list[Results]) -> Results:
    """The content of results.json with these external tests in the place of those that it has."""
    rest = {name: value for name, value in results.items() if name != 'external'}
    return {**rest, 'external': entries[0] if len(entries) == 1 else entries} if entries else rest


def rewrite_externals(workdir: Path, entries: list[Results], written: str) -> None:
    """Puts external tests into the report, the results.json and the model card of a finished run; all else there stays.

    `written` is the file of predictions that is new.
    """
    results = with_externals(read(workdir), entries)
    known = {name: checksum for name, checksum in results.pop(FILES, {}).items() if name != written}
    report.rewrite_external(workdir / 'report.html', results)
    _write_with_checksums(workdir, results, known)
    if (workdir / model_card.FILE).is_file():  # earlier releases wrote none
        with suppress(UserError):  # its predictions.csv is damaged, and the card stays as it is
            model_card.write(workdir, results, predictions(workdir))


def _damaged(workdir: Path, name: str, error: Exception) -> UserError:
    also = '' if name == RESULTS else f' and {RESULTS}'
    return UserError(
        f'{workdir / name}: {str(error).removeprefix(f"{name} ")}; delete it{also} and give the command of this run '
        'again, which evaluates its model again'
    )


def marks(results: Results) -> list[str]:
    """The words about a run that belong beside its numbers: 'synthetic cells', 'grouped (by …)' or 'transductive'."""
    grouped = formatting.grouped(results)
    split = ['leaky split'] if results['split']['leaky'] else [grouped] if grouped else []
    seen = results.get('pretraining', {}).get('test_set')
    further = [f'pretrained on {seen}'] * bool(seen) + ['transductive'] * ('transductive' in results)
    return ['synthetic cells'] * results['data']['synthetic'] + split + further


def _banner(results: Results) -> str:
    parts = ['synthetic cells'] if results['data']['synthetic'] else []
    parts += [f'{results["split"]["protocol"]} split: leaky'] if results['split']['leaky'] else []
    parts += ['transductive'] if 'transductive' in results else []
    return ', '.join(parts)
