"""One run of a detector, start to finish: fields read, cut in folds by group, learned from, scored; then one on all.

It goes on where it was stopped: with the first fold that was not done. What the frozen layers say is asked again.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import alljax
from alljax.config.detector_fields import DetectorPlan
from alljax.data import all_idb
from alljax.data.synthetic.folder import is_synthetic
from alljax.errors import UserError
from alljax.fields import crops, detection_score
from alljax.fields.detector import Detector
from alljax.fields.white_cells import Found
from alljax.models import Variables
from alljax.runs import detector, detector_data, detector_folds, detector_report, environment, results
from alljax.runs.detector import Learned
from alljax.runs.detector_data import DetectorData
from alljax.runs.detector_folds import above, best_threshold
from alljax.runs.detector_report import Tested
from alljax.storage import cache as kept_programs
from alljax.storage import run_folder
from alljax.storage.card import Card
from alljax.storage.text_files import csv_text, write_text

log = logging.getLogger(__name__)
DETECTIONS = 'detections.csv'


class Start(NamedTuple):
    """All that a head learns on."""

    variables: Variables  # frozen
    card: Card
    learned: Learned


def run(plan: DetectorPlan, folder: Path) -> Path:
    """Trains and scores a detector, or goes on with it, and returns its run folder.

    UserError for fields that it cannot learn from, and for a folder of another run.
    """
    kept_programs.keep_compiled_programs()
    began = time.monotonic()
    with run_folder.opened(folder, plan.fields):
        if run_folder.is_finished(folder) and (folder / detector_report.FILE).is_file():
            log.info('this run is finished, and kept as it is: %s', folder)
            return folder
        data = detector_data.read(plan)
        for problem in data.problems:
            log.warning('%s', problem)
        by = 'group' if data.grouping == detector_data.BY_GROUP else 'field'
        log.info('%d fields with %d white cells, %d folds by %s; in %s', len(data.fields), data.cells, len(data.folds),
                 by, folder)  # fmt: skip

        @cache  # a run all of whose folds are done needs none of it
        def start() -> Start:
            variables, card = detector.frozen(plan)
            return Start(variables, card, detector.features_of(plan, data.fields, variables))

        def fit(places: Sequence[int], threshold: float = detector.LEAST) -> Detector:
            head = detector.fit(plan, start().learned, places)
            return detector.detector_of(plan, start().variables, head, start().card, threshold)

        found = detector_folds.asked(data, folder, fit)
        tested = _tested(data, found)
        every = range(len(data.fields))
        trained = _of_this_run(folder, data)
        if trained is None:
            whole = fit(every, best_threshold(found, data.fields, every))
            trained = _with_facts(plan, data, whole, {'windows': len(start().learned.field)})
            detector.save(trained, folder / 'model')
        _write_detections(folder, tested)
        about = _about(plan, data, tested, trained, time.monotonic() - began)
        detector_report.write(folder, about, tested)
        results.write_results(folder, about)
        for line in detection_score.lines(tested.scores):
            log.info('%s', line)
        log.info('see %s; the last detector learned from all fields: alljax smear RUN FIELDS --detector %s',
                 folder / detector_report.FILE, folder)  # fmt: skip
    return folder


def _tested(data: DetectorData, found: Sequence[Found]) -> Tested:
    """The fields as the folds that did not see them find their cells, each by the threshold of the other folds."""
    parts = data.parts
    thresholds = {
        fold: best_threshold(found, data.fields, [place for place, part in enumerate(parts.tolist()) if part != fold])
        for fold in data.folds
    }
    kept = [above(one, thresholds[part]) for one, part in zip(found, parts.tolist(), strict=True)]
    compared = detector.score(kept, data.fields)
    return Tested(data, tuple(found), tuple(kept), thresholds, tuple(compared), tuple(detection_score.scores(compared)))


def _of_this_run(folder: Path, data: DetectorData) -> Detector | None:
    """The last detector, where an earlier start came to its end."""
    with suppress(UserError):  # none, or damaged: it is trained again
        trained = detector.load(folder)
        return trained if trained.card.fingerprint == data.fingerprint else None
    return None


def _with_facts(plan: DetectorPlan, data: DetectorData, trained: Detector, train: dict[str, Any]) -> Detector:
    """A detector whose card says what it was trained on."""
    own = (all_idb.SETS['all_idb1'],) if crops.is_all_idb1(data.marked) else ()
    fields = [field.marks.field for field in data.fields]
    return trained._replace(
        card=replace(
            trained.card,
            fingerprint=data.fingerprint,
            model={'name': f'a detector on {plan.network}'},
            train={'root': str(plan.root), 'fields': fields, 'cells': data.cells, 'steps': plan.steps, **train},
            trained_on=(*trained.card.trained_on, *own),
            synthetic=is_synthetic(plan.root),
        )
    )


def _about(
    plan: DetectorPlan, data: DetectorData, tested: Tested, trained: Detector, seconds: float
) -> results.Results:
    """The content of results.json."""
    card = trained.card
    return {
        'alljax': alljax.__version__,
        'command': environment.command(),
        'data': {
            'root': str(plan.root),
            'fields': [field.marks.field for field in data.fields],
            'cells': data.cells,
            'format': data.marked.format,
            'labels': data.marked.labels(),
            'notes': list(data.marked.notes),
            'problems': list(data.problems),
            'grouping': data.grouping,
            'synthetic': is_synthetic(plan.root),
            'fingerprint': data.fingerprint,
        },
        'split': {
            'folds': len(data.folds),
            'fold_of': data.parts.tolist(),
            'thresholds': sorted(set(tested.thresholds.values())),
        },
        'test': detection_score.about(tested.scores, tested.compared),
        'model': {
            'name': f'detector on {plan.network}',
            'network': plan.network,
            'threshold': trained.threshold,
            'weights': card.weights.weights or card.weights.file if card.weights else plan.init,
            'trained_on': list(card.trained_on),
        },
        'train': {'steps': plan.steps, 'windows': card.train.get('windows'), 'seconds': round(seconds, 1)},
        'seed': plan.seed,
        'environment': environment.about(),
    }


def _write_detections(folder: Path, tested: Tested) -> None:
    lines = [
        (field.marks.field, *(f'{value:.1f}' for value in box), f'{confidence:.4f}')
        for field, one in zip(tested.data.fields, tested.kept, strict=True)
        for box, confidence in zip(one.boxes.tolist(), one.confidences.tolist(), strict=True)
    ]
    write_text(folder / DETECTIONS, csv_text(('field', 'left', 'top', 'width', 'height', 'confidence'), lines))
