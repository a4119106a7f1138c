"""An ensemble from a plan: candidates are compared on inner folds of the training side, the chosen ones trained on it.

Only cells of the training side come in here: what the tested slides hold can change nothing that is chosen, weighted,
calibrated or kept.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from alljax.config.plan import Plan
from alljax.data import training_likeness
from alljax.data.cells import Cells
from alljax.data.split import SEED_STEP, Split
from alljax.evaluation import calibration, ensemble_selection, metrics
from alljax.runs import ensemble, inner_folds, single_kinds
from alljax.runs.ensemble import Ensemble, Member
from alljax.runs.kind import Probabilities
from alljax.storage.atomic import temporary_folder, write_json
from alljax.storage.card import Card
from alljax.storage.image_preparation import CellPreparation

log = logging.getLogger(__name__)
SCORES = 'candidates.json'  # of the run folder: the `ensemble` part of results.json

Table = Float[np.ndarray, 'candidates cells classes']
Weights = Float[np.ndarray, ' candidates']


def fit(plan: Plan, cells: Cells, parts: Split, folder: Path) -> Ensemble:
    """The ensemble of a plan, chosen, trained and kept in the folder's model/.

    The card holds the calibration of the average on the inner folds, and the `model`, `train` and `ensemble` parts of
    results.json.
    """
    began, asked = time.monotonic(), plan.calibration
    own = cells.take(np.sort(np.concatenate([parts.train, parts.validation])))
    folds = inner_folds.folds(own, plan.ensemble.folds, plan.seed + SEED_STEP * plan.split.repeat)
    table = inner_folds.table(plan, own, folds, folder)
    weights = ensemble_selection.weights(table, own.labels, plan.ensemble.choose, plan.ensemble.members)
    shares = ensemble.average(table, weights)
    scores = about_choice(plan, own, table, weights)
    scores['folds'] = len(folds)
    write_json(folder / SCORES, scores)
    with temporary_folder(folder / 'members') as place:
        members, sources = _trained(plan, own, weights, place)
        train = {
            **ensemble.training_accuracy(members),
            'cells_an_epoch': len(own),
            'seconds': round(time.monotonic() - began, 1),
            'chosen': f'{len(members)} of {len(weights)} candidates, on {len(folds)} inner folds of the training side',
            ensemble.TABLE: scores,
        }
        card = Card(
            **ensemble.shared(members),
            fingerprint=cells.origin.fingerprint,
            seed=plan.seed,
            pictures=training_likeness.of_cells(own, np.arange(len(own))),
            train=train,
            calibration=calibration.fitted(
                shares, own.labels, own.groups, 'inner folds', coverage=asked.coverage, accuracy=asked.accuracy
            ),
        )
        ensemble.save(folder / 'model', card, sources)
    return Ensemble(card, tuple(members))


def about_choice(plan: Plan, cells: Cells, table: Table, weights: Weights) -> dict[str, Any]:
    """The scores of each candidate and of the average on the inner folds, and the weights that came of them."""
    rows = [
        {'candidate': one.name, **_scores(shares, cells), 'weight': float(weight)}
        for one, shares, weight in zip(plan.candidates, table, weights, strict=True)
    ]
    return {
        'choose': plan.ensemble.choose,
        'cells': len(cells),
        'groups': len(np.unique(cells.groups)),
        'candidates': rows,
        'average': _scores(ensemble.average(table, weights), cells),
    }


def _scores(shares: Probabilities, cells: Cells) -> dict[str, float]:
    found = metrics.scores(metrics.confusion(cells.labels, shares.argmax(1), len(cells.classes)), cells.classes)
    return {
        'accuracy': found['accuracy'],
        'macro_recall': found['macro_recall'],
        'log_loss': ensemble_selection.log_loss(shares, cells.labels),
    }


def _trained(plan: Plan, cells: Cells, weights: Weights, place: Path) -> tuple[Sequence[Member], Mapping[str, Path]]:
    """The chosen candidates, trained on the whole training side, and the model folder of each below `place`."""
    members: list[Member] = []
    sources: dict[str, Path] = {}
    known: dict[CellPreparation, Cells] = {}
    every = np.arange(len(cells))
    for candidate, weight in zip(plan.candidates, weights, strict=True):
        if weight > 0:
            name = ensemble.folder_name(len(members) + 1, candidate.name)
            log.info('training %s, weight %.2f, on the whole training side', candidate.name, weight)
            own = inner_folds.sides(candidate.plan, cells, every, every[:0], known)
            kind = single_kinds.of_plan(candidate.plan)
            (place / name).mkdir()
            members.append(Member(name, float(weight), kind, kind.fit(own.plan, own.cells, own.parts, place / name)))
            sources[name] = place / name / 'model'
    return members, sources
