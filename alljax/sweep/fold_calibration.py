"""The calibration of a final model, by what the folds say of cells that they did not train on."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Integer

from alljax.config.plan import CalibrationOptions
from alljax.evaluation import calibration
from alljax.evaluation.calibration import Calibrated
from alljax.runs.results import Judged, Results
from alljax.storage.calibration_record import OF_FOLDS, Calibration

UNPRINTED = 2.5e-7  # the middle of what a table of predictions, with six digits, prints as 0


class Folded(NamedTuple):
    """The test cells of all folds of all repetitions, and where each was tested."""

    judged: Judged
    folds: Integer[np.ndarray, ' cells']
    repeats: Integer[np.ndarray, ' cells']
    different: int  # cells, each counted once


def fitted(found: Folded, options: CalibrationOptions) -> tuple[Calibration, Results]:
    """The calibration that all folds together give, and its success on each fold by that of the other folds alone.

    The second has no part in the first's choice: each fold of a repetition is judged by the temperature, the sets and
    the confidence that the others of this repetition give, whose models know its cells no more than the fold's own
    does. With a split by groups a calibration is so judged on groups that it never saw. ValueError for a single fold.
    """
    whole = _fitted(found.judged, options)._replace(cells=found.different)
    labels, _, probabilities, groups = found.judged
    parts = []
    order = []
    for repeat in np.unique(found.repeats):
        for fold in np.unique(found.folds[found.repeats == repeat]):
            own = (found.repeats == repeat) & (found.folds == fold)
            others = (found.repeats == repeat) & ~own
            known = _fitted(Judged(*(values[others] for values in found.judged)), options)
            parts.append(calibration.applied(probabilities[own], known))
            order.append(np.flatnonzero(own))
    places = np.concatenate(order)
    said = Calibrated(*(np.concatenate(values) for values in zip(*parts, strict=True)))
    answers = calibration.answers(said, labels[places], groups[places])
    return whole, calibration.measured(answers, options.coverage)


def _fitted(judged: Judged, options: CalibrationOptions) -> Calibration:
    return calibration.fitted(
        judged.probabilities,
        judged.labels,
        judged.groups,
        OF_FOLDS,
        coverage=options.coverage,
        accuracy=options.accuracy,
    )


def with_unprinted(judged: Judged) -> Judged:
    """The same with a chance for each class that was printed as 0: a network gives one to every class."""
    shares = np.maximum(judged.probabilities, UNPRINTED)
    return judged._replace(probabilities=shares / shares.sum(1, keepdims=True))
