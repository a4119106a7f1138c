"""A run's model and cells unlike those it was trained on, told by its own features beside what the pictures show."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from alljax.config.plan import Plan
from alljax.data.cells import Cells
from alljax.errors import UserError
from alljax.evaluation import feature_likeness
from alljax.evaluation.feature_likeness import Reference
from alljax.runs import kinds
from alljax.runs.by_set import by_set
from alljax.runs.kind import Kind, Trained
from alljax.runs.results import Results
from alljax.runs.run_cells import RunCells
from alljax.storage import model_folder
from alljax.storage.calibration_record import PICTURES, FeatureLikeness
from alljax.storage.streamed_pictures import Pictures

log = logging.getLogger(__name__)

Score = Callable[[Pictures, int], Float[np.ndarray, ' cells']]  # images and a batch size to a score of each


class Measured(NamedTuple):
    """A score of features, as a model folder keeps it."""

    known: FeatureLikeness
    reference: Reference | None


def check(plan: Plan, found: RunCells) -> None:
    """UserError, before anything is trained, for a score that this model or these cells cannot have."""
    score, kind = plan.calibration.unlike, kinds.of_plan(plan)
    if score == PICTURES:
        return
    problem = ''
    if kind.features is None:
        problem = 'a model of several members has no features of its own; set it to pictures'
    elif not plan.system and score != 'energy' and plan.network.cut(1) is None:
        problem = f'{plan.network.name} is no linen module, so its features are unknown; set it to energy or pictures'
    elif not len(found.parts.validation) and len(np.unique(found.cells.groups[found.parts.train])) < 2:
        problem = 'all training cells are of one group, so none can be held out; set config.split.validation'
    if problem:
        raise UserError(f'config.calibration.unlike is {score}, but {problem}')


def measured(kind: Kind, trained: Trained, plan: Plan, found: RunCells) -> Measured | None:
    """The features of the training cells and the limit of the score; None if the plan asks for pictures alone."""
    score, features, cells = plan.calibration.unlike, kind.features, found.cells
    if score == PICTURES or features is None:
        return None

    def rows_of(some: Cells) -> Float[np.ndarray, 'cells features']:
        return by_set(kind, trained, some, lambda run, images: features(run, score, True)(images, plan.batch_size))

    known, source, held_out = None, 'validation fold', cells.take(found.parts.validation)
    if score != 'energy':
        first, train = len(found.sources), found.parts.train
        index = train[(train < first) | (train >= first + found.copies)]  # no copies, unless these alone train
        index = index if len(index) else train
        most = min(feature_likeness.MOST, len(index))
        training = cells.take(index[np.linspace(0, len(index) - 1, most).astype(int)])
        rows = rows_of(training)
        known = feature_likeness.reference(score, rows, training.labels)
    if len(held_out):
        scores = feature_likeness.scores(score, known, rows_of(held_out))
    else:
        source, held_out = 'training groups left out in turn', training
        scores = feature_likeness.left_out_scores(score, rows, training.labels, training.groups)
    limit = feature_likeness.limit(scores)
    log.info('unlike the training cells is what has a %s score above %.3g: 5 %% of %d cells (%s)', score, limit,
             len(held_out), source)  # fmt: skip
    return Measured(FeatureLikeness(score, limit, len(held_out), len(np.unique(held_out.groups)), source), known)


def score_of(kind: Kind, trained: Trained, path: Path, *, keep: bool = False) -> Score | None:
    """The score by the model folder that a path means; None for a model that has none. UserError for a damaged one.

    With `keep` a classical system's measurements are looked for in the user's cache, and kept there.
    """
    known = trained.card.likeness
    if known is None or kind.features is None:
        return None
    reference = None
    if known.score != 'energy':
        arrays = model_folder.read_arrays(model_folder.find(path), Reference._fields)
        reference = Reference(**arrays)
    features = kind.features(trained, known.score, keep)
    return lambda images, batch_size: feature_likeness.scores(known.score, reference, features(images, batch_size))


def of_test(kind: Kind, trained: Trained, folder: Path, test: Cells, batch_size: int) -> Results:
    """The `unlike` part of a run's results.json; empty for a model without such a score."""
    known = trained.card.likeness

    def scores(run: Trained, images: Pictures) -> Float[np.ndarray, 'cells 1']:
        score = score_of(kind, run, folder, keep=True)
        assert score
        return score(images, batch_size)[:, None]

    return about(known, by_set(kind, trained, test, scores)[:, 0]) if known else {}


def of_external_test(kind: Kind, trained: Trained, folder: Path, images: Pictures, batch_size: int) -> Results:
    """The same for pictures of a second set, which are one set to a transductive model."""
    known, score = trained.card.likeness, score_of(kind, kind.adapted(trained, images), folder, keep=True)
    return about(known, score(images, batch_size)) if known and score else {}


def about(known: FeatureLikeness, scores: Float[np.ndarray, ' cells']) -> Results:
    """The score of a model, and the share of tested cells that are beyond its limit."""
    return {'unlike': {**known._asdict(), 'share_of_test_cells': float((scores > known.limit).mean())}}


def words(value: float, known: FeatureLikeness) -> str:
    """The way in which a cell is unlike the training cells; '' for one that is not."""
    if value <= known.limit:
        return ''
    return (
        f'its features are unlike theirs ({known.score} {value:.2f}, 95% of {known.cells} held-out cells up to '
        f'{known.limit:.2f})'
    )
