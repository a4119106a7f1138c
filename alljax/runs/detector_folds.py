"""White cells that a detector finds in fields it did not learn from, fold by fold, kept so that a stop loses only one.

They are kept down to the least chance of a middle: the threshold of a field is chosen on the other folds, at the end.
"""

import logging
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

import alljax
from alljax.errors import UserError
from alljax.fields import matching
from alljax.fields.detector import Detector
from alljax.fields.white_cells import Found
from alljax.runs import detector
from alljax.runs.detector_data import DetectorData
from alljax.runs.detector_windows import LearnedField
from alljax.storage import cached_record

log = logging.getLogger(__name__)
FILE = 'folds.json'  # of the run folder
CANDIDATES = np.linspace(detector.LEAST, 0.95, 37)  # thresholds

Kept = dict[str, dict[str, list[list[float]]]]  # fold → field → left, top, width, height, area, chance of each cell


def asked(data: DetectorData, folder: Path, fit: Callable[[Sequence[int]], Detector]) -> list[Found]:
    """The cells found in each field by the detector of the folds without it; `fit` trains one on fields by place.

    Folds that an earlier start came to the end of are taken from the folder; UserError if they are of other fields.
    """
    kept = _kept(folder / FILE, data)
    for fold in data.folds:
        if str(fold) not in kept:
            trained = fit(np.flatnonzero(data.parts != fold).tolist())
            own = np.flatnonzero(data.parts == fold).tolist()
            kept[str(fold)] = {
                data.fields[place].marks.field: _rows(detector.predict(trained, data.fields[place])) for place in own
            }
            _keep(folder / FILE, data, kept)
        log.info('fold %d of %d is done', fold + 1, len(data.folds))
    return [
        _found(kept[str(fold)][field.marks.field]) for field, fold in zip(data.fields, data.parts.tolist(), strict=True)
    ]


def best_threshold(found: Sequence[Found], fields: Sequence[LearnedField], places: Sequence[int]) -> float:
    """The chance from which on cells have the best F1 by their middles in some fields, of equals the middle one."""
    of_fields = [fields[place] for place in places]
    values = []
    for least in CANDIDATES:
        compared = detector.score([above(found[place], least) for place in places], of_fields)
        f1 = matching.measures([one.by_center for one in compared]).f1
        values.append(0.0 if math.isnan(f1) else f1)
    best = np.flatnonzero(np.array(values) >= max(values) - 1e-9)
    return float(CANDIDATES[best[len(best) // 2]])


def above(found: Found, least: float) -> Found:
    """The cells whose chance of a middle is at least so high."""
    return found.take(found.confidences >= least)


def _kept(path: Path, data: DetectorData) -> Kept:
    """The folds of an earlier start; none without a file or, saying so, for a damaged one."""
    values = cached_record.read(path, 'its folds are done again')
    if values is None:
        return {}
    if values['fingerprint'] != data.fingerprint:
        raise UserError(
            f'--workdir={path.parent}: was trained on other fields than those now in {data.marked.root} (a picture, a '
            'mark or a group has changed); restore them, or start a new --workdir'
        )
    if values['alljax'] != alljax.__version__:
        log.warning('%s: its folds are of alljax %s, and done again', path, values['alljax'])
        return {}
    return dict(values['folds'])


def _keep(path: Path, data: DetectorData, kept: Kept) -> None:
    cached_record.write(path, {'alljax': alljax.__version__, 'fingerprint': data.fingerprint, 'folds': kept})


def _rows(found: Found) -> list[list[float]]:
    table = np.concatenate([found.boxes, found.areas[:, None], found.confidences[:, None]], 1)
    rows: list[list[float]] = table.astype(float).tolist()
    return rows


def _found(rows: list[list[float]]) -> Found:
    table = np.array(rows, float).reshape(-1, 6)
    boxes = table[:, :4]
    return Found(boxes[:, :2] + boxes[:, 2:] / 2, boxes, table[:, 4], table[:, 5])
