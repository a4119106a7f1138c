"""One run of a detector, start to finish: fields read, cut in folds by group, learned from, scored; then one on all."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Int

import alljax
from alljax.config.detector_fields import DetectorPlan
from alljax.data import all_idb
from alljax.data.picture import ImageError
from alljax.data.synthetic.folder import is_synthetic
from alljax.errors import UserError, some
from alljax.fields import annotations, crops, detection_score, field_groups, field_image, matching, survey
from alljax.fields.annotations import Annotations
from alljax.fields.white_cells import Found
from alljax.runs import detector, environment
from alljax.runs.detector_windows import LearnedField
from alljax.storage import cache, progress_bar, run_folder
from alljax.storage.atomic import write_json
from alljax.storage.text_files import csv_text, write_text

log = logging.getLogger(__name__)
DETECTIONS = 'detections.csv'
ROOT = '--config.data.root'


def run(plan: DetectorPlan, folder: Path) -> Path:
    """Trains and scores a detector, and returns its run folder; UserError for fields that it cannot learn from."""
    cache.keep_compiled_programs()
    began = time.monotonic()
    with run_folder.opened(folder, plan.fields):
        if run_folder.is_finished(folder):
            log.info('this run is finished, and kept as it is: %s', folder)
            return folder
        marked = annotations.read(plan.root, plan.labels, plan.format, ROOT)
        fields, problems = _fields(plan, marked)
        for problem in (*marked.problems, *problems):
            log.warning('%s', problem)
        parts = folds(fields, plan.folds, plan.seed)
        cells = sum(len(field.marks.centers) for field in fields)
        log.info('%d fields with %d white cells, %d folds by %s; in %s', len(fields), cells, len(set(parts.tolist())),
                 'group' if _named(plan) else 'field', folder)  # fmt: skip
        variables, card = detector.frozen(plan)
        learned = detector.features_of(plan, fields, variables)
        by_field: dict[int, Found] = {}
        for fold in sorted(set(parts.tolist())):
            head = detector.fit(plan, learned, np.flatnonzero(parts != fold).tolist())
            trained = detector.detector_of(plan, variables, head, card, detector.LEAST)
            for place in np.flatnonzero(parts == fold).tolist():
                by_field[place] = detector.predict(trained, fields[place])
            log.info('fold %d of %d is done', fold + 1, parts.max() + 1)
        found = [by_field[place] for place in range(len(fields))]
        chosen = [best_threshold(found, fields, np.flatnonzero(parts != part).tolist()) for part in parts.tolist()]
        kept = [one.take(one.confidences >= least) for one, least in zip(found, chosen, strict=True)]
        compared = detector.score(kept, fields)
        scores = detection_score.scores(compared)
        threshold = best_threshold(found, fields, range(len(fields)))
        head = detector.fit(plan, learned, range(len(fields)))
        whole = detector.detector_of(plan, variables, head, card, threshold)
        own = (all_idb.SETS['all_idb1'],) if crops.is_all_idb1(marked) else ()
        about = {'root': str(plan.root), 'fields': [field.marks.field for field in fields], 'cells': cells}
        whole = whole._replace(
            card=replace(
                whole.card,
                model={'name': f'a detector on {plan.network}'},
                train=about,
                trained_on=(*whole.card.trained_on, *own),
                synthetic=is_synthetic(plan.root),
            )
        )
        detector.save(whole, folder / 'model')
        _write_detections(folder, fields, kept)
        write_json(
            folder / run_folder.RESULTS,
            {
                'alljax': alljax.__version__,
                'command': environment.command(),
                'data': {**about, 'format': marked.format, 'labels': marked.labels(), 'problems': problems,
                         'grouping': 'patient or slide' if _named(plan) else 'field',
                         'synthetic': is_synthetic(plan.root)},
                'split': {'folds': int(parts.max()) + 1, 'fold_of': parts.tolist(), 'thresholds': sorted(set(chosen))},
                'test': detection_score.about(scores, compared),
                'model': {'network': plan.network, 'threshold': threshold},
                'train': {'steps': plan.steps, 'windows': len(learned.field),
                          'seconds': round(time.monotonic() - began, 1)},
                'seed': plan.seed,
                'environment': environment.about(),
            },
        )  # fmt: skip
        for line in detection_score.lines(scores):
            log.info('%s', line)
        log.info('the last detector learned from all fields: alljax smear RUN FIELDS --detector %s', folder)
    return folder


def folds(fields: Sequence[LearnedField], wanted: int, seed: int) -> Int[np.ndarray, ' fields']:
    """The fold of each field: whole groups in any order, each to the fold with the fewest cells.

    UserError for fewer than two groups, which cannot be parted.
    """
    groups = [field.group for field in fields]
    names = sorted(set(groups))
    if len(names) < 2:
        raise UserError(f'{len(names)} group of fields cannot be parted in folds; name more fields, or other groups')
    filled, of_group = np.zeros(min(wanted, len(names))), {}
    for name in np.random.default_rng([seed, 3]).permutation(names).tolist():
        of_group[name] = fold = int(filled.argmin())
        filled[fold] += 1e-3 + sum(len(one.marks.centers) for one in fields if one.group == name)
    return np.array([of_group[name] for name in groups])


def best_threshold(found: Sequence[Found], fields: Sequence[LearnedField], places: Sequence[int]) -> float:
    """The chance from which on cells have the best F1 by their middles in some fields, of equals the middle one."""
    candidates = np.linspace(detector.LEAST, 0.95, 37)
    values = []
    for least in candidates:
        kept = [found[place].take(found[place].confidences >= least) for place in places]
        compared = detector.score(kept, [fields[place] for place in places])
        f1 = matching.measures([one.by_center for one in compared]).f1
        values.append(0.0 if math.isnan(f1) else f1)
    best = np.flatnonzero(np.array(values) >= max(values) - 1e-9)
    return float(candidates[best[len(best) // 2]])


def _fields(plan: DetectorPlan, found: Annotations) -> tuple[list[LearnedField], list[str]]:
    """The marked fields with their scale, and sentences about those that are left out; UserError without any."""
    if without := [marks.field for marks in found.marks if marks.boxes is None]:
        raise UserError(f'{found.root}: marks centers only ({some(without, 3)}), and a detector learns from boxes')
    marked = [marks.field for marks in found.marks]
    groups = field_groups.chosen(plan.groups, plan.group_pattern or None, marked)
    fields, problems = [], []
    for marks in progress_bar.each(found.marks, 'reading fields', len(found.marks), ' fields'):
        try:
            image = field_image.open_field(found.root / marks.field)
            look = survey.survey(image, plan.cell_pixels or None, by_color=False)
        except ImageError as error:
            said = f'{error}'.replace('--cell_pixels', '--config.data.cell_pixels')
            problems.append(f'{found.root / marks.field}: left out: it {said}')
            continue
        fields.append(LearnedField(marks, groups[marks.field] if groups else marks.field, image, look))
    if not any(len(field.marks.centers) for field in fields):
        raise UserError(*(problems or [f'{found.root}: no white cell is marked; correct {ROOT}']))
    return fields, problems


def _named(plan: DetectorPlan) -> bool:
    return bool(plan.groups or plan.group_pattern)


def _write_detections(folder: Path, fields: Sequence[LearnedField], found: Sequence[Found]) -> None:
    lines = [
        (field.marks.field, *(f'{value:.1f}' for value in box), f'{confidence:.4f}')
        for field, one in zip(fields, found, strict=True)
        for box, confidence in zip(one.boxes.tolist(), one.confidences.tolist(), strict=True)
    ]
    write_text(folder / DETECTIONS, csv_text(('field', 'left', 'top', 'width', 'height', 'confidence'), lines))
