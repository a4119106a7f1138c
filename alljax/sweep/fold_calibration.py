"""The calibration of a final model, by what the folds say of cells that they did not train on.

It is decided by nested judgement. A temperature, or a confidence from which to answer, that was measured on some slides
may do harm on others, so it is kept only if it does well on folds that had no part in it: each fold is judged by what
the others give (`Judgement`). That decision has seen every cell that it was given, and its numbers are too good for
having been chosen by. So the success that is reported comes from one level further out: of each fold by the whole
procedure on the other folds, their decision to keep or to refuse included, in which no cell of the fold has any part.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Integer

from alljax.config.plan import CalibrationOptions
from alljax.evaluation import calibration, metrics
from alljax.evaluation.calibration import Calibrated
from alljax.runs.results import Judged, Results
from alljax.storage.calibration_record import ANSWERS, OF_FOLDS, TEMPERATURE, Calibration

UNPRINTED = 2.5e-7  # the middle of what a table of predictions, with six digits, prints as 0
MOST_PARTS = 5  # that are judged by the others in turn; more folds are joined to so many
MISSED = 0.02  # of the promised accuracy, at most, for a promise to hold: a verdict too calls that good


class Folded(NamedTuple):
    """The test cells of all folds of all repetitions, and where each was tested."""

    judged: Judged
    folds: Integer[np.ndarray, ' cells']
    repeats: Integer[np.ndarray, ' cells']
    different: int  # cells, each counted once


class Judgement(NamedTuple):
    """The success of temperatures, and of confidences to answer from, on cells that had no part in either."""

    temperature: float  # of all cells together
    log_loss: tuple[float, float]  # of the probabilities as they come, and with the temperature of the others
    error: tuple[float, float]  # the calibration error of the same
    answered: float  # share of the cells
    accuracy_of_answered: float | None  # None where none was answered


def fitted(found: Folded, options: CalibrationOptions) -> tuple[Calibration, Results]:
    """The calibration that all folds together give, and the content of results.json about it.

    Its `judged` holds the numbers by which temperature and confidence were kept or refused; its `test` is the success
    on each fold of the same procedure on the other folds of its repetition, whose models know its cells no more than
    the fold's own does. With a split by groups that is a success on groups that had no part in it. ValueError for a
    single fold.
    """
    whole, judgement = _decided(found, options)
    labels, _, probabilities, groups = found.judged
    parts = []
    order = []
    for own, others in _in_turn(found.folds, found.repeats):
        known, _ = _decided(_taken(found, others), options)
        parts.append(calibration.applied(probabilities[own], known))
        order.append(np.flatnonzero(own))
    if not order or judgement is None:
        raise ValueError('a calibration by folds needs two of them; found one')
    places = np.concatenate(order)
    said = Calibrated(*(np.concatenate(values) for values in zip(*parts, strict=True)))
    answers = calibration.answers(said, labels[places], groups[places])
    test = calibration.measured(answers, options.coverage)
    return whole, {**whole.to_json(), 'judged': judgement._asdict(), 'test': test}


def _decided(found: Folded, options: CalibrationOptions) -> tuple[Calibration, Judgement | None]:
    """The calibration by these cells, without the temperature or the confidence that does not hold on held-out parts.

    The parts are the folds, up to five; of a single fold they are groups of its own. With a single group nothing can be
    judged, and both are refused.
    """
    labels, _, probabilities, _ = found.judged
    fresh = _fitted(found.judged, options)._replace(cells=found.different)
    turns = [*_in_turn(_parts(found), found.repeats)]
    if not turns:
        return _refused(fresh, found.judged, temperature=True, answers=True), None
    known = [_fitted(_of(found.judged, others), options) for _, others in turns]
    order = np.concatenate([np.flatnonzero(own) for own, _ in turns])
    right, plain = labels[order], probabilities[order]
    warm = np.concatenate([
        calibration.tempered(probabilities[own], one.temperature) for (own, _), one in zip(turns, known, strict=True)
    ])  # fmt: skip
    losses = calibration.log_loss(plain, right), calibration.log_loss(warm, right)
    correct = plain.argmax(1) == right  # with any temperature
    errors = metrics.confidence_error(correct, plain.max(1)), metrics.confidence_error(correct, warm.max(1))
    harmful = losses[1] > losses[0] or errors[1] > errors[0]
    sure = np.concatenate([
        _certain(found.judged, own, others, one, harmful=harmful)
        for (own, others), one in zip(turns, known, strict=True)
    ])  # fmt: skip
    accuracy = float(correct[sure].mean()) if sure.any() else None
    broken = sure.sum() < calibration.FEWEST or accuracy is None or accuracy < options.accuracy - MISSED
    judgement = Judgement(fresh.temperature, losses, errors, float(sure.mean()), accuracy)
    return _refused(fresh, found.judged, temperature=harmful, answers=bool(broken)), judgement


def _certain(
    judged: Judged,
    own: Bool[np.ndarray, ' cells'],
    others: Bool[np.ndarray, ' cells'],
    known: Calibration,
    *,
    harmful: bool,
) -> Bool[np.ndarray, ' own']:
    """True for cells of a part that the confidence of the others answers, tempered as they say unless it does harm."""
    if harmful:
        known = _at_one(known, _of(judged, others))
    return calibration.certain(calibration.tempered(judged.probabilities[own], known.temperature), known)


def _refused(fresh: Calibration, judged: Judged, *, temperature: bool, answers: bool) -> Calibration:
    """A calibration without what is refused; a confidence that nothing reached is none that could be refused."""
    kept = _at_one(fresh, judged) if temperature else fresh
    answers = answers and kept.certain is not None
    refused = (TEMPERATURE,) * temperature + (ANSWERS,) * answers
    return kept._replace(certain=None if answers else kept.certain, refused=refused)


def _at_one(known: Calibration, judged: Judged) -> Calibration:
    return calibration.at_temperature(known, 1.0, judged.probabilities, judged.labels, judged.groups)


def _parts(found: Folded) -> Integer[np.ndarray, ' cells']:
    """The part of each cell: of its fold, or of its group where there is a single fold."""
    names = found.folds if len(np.unique(found.folds)) > 1 else found.judged.groups
    numbers = np.unique(names, return_inverse=True)[1]
    return numbers % MOST_PARTS


def _in_turn(
    parts: Integer[np.ndarray, ' cells'], repeats: Integer[np.ndarray, ' cells']
) -> Iterator[tuple[Bool[np.ndarray, ' cells'], Bool[np.ndarray, ' cells']]]:
    """The cells of each part of each repetition, and those of the others of this repetition; of one part nothing."""
    for repeat in np.unique(repeats):
        within = repeats == repeat
        numbers = np.unique(parts[within])
        for number in numbers if len(numbers) > 1 else ():
            own = within & (parts == number)
            yield own, within & ~own


def _taken(found: Folded, chosen: Bool[np.ndarray, ' cells']) -> Folded:
    return Folded(_of(found.judged, chosen), found.folds[chosen], found.repeats[chosen], int(chosen.sum()))


def _of(judged: Judged, chosen: Bool[np.ndarray, ' cells']) -> Judged:
    return Judged(*(values[chosen] for values in judged))


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
