"""The certainty of a run's model: measured on cells that did not train it, kept in its card, applied to its answers."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from alljax.config.plan import Plan
from alljax.data.cells import Cells
from alljax.evaluation import calibration
from alljax.evaluation.calibration import Calibrated
from alljax.runs import likeness
from alljax.runs.by_set import by_set
from alljax.runs.kind import NO_CHANCE, Kind, Trained
from alljax.runs.prediction_table import Columns
from alljax.runs.results import Results, TestOutput
from alljax.runs.run_cells import RunCells
from alljax.storage import model_folder
from alljax.storage.calibration_record import Calibration
from alljax.storage.card import Card
from alljax.training import inference

log = logging.getLogger(__name__)

UNCERTAIN = 'uncertain'  # in the place of a class, where the confidence is too low to name one


def kept(kind: Kind, trained: Trained, plan: Plan, found: RunCells, folder: Path) -> Trained:
    """A model that has just been trained, with its certainty measured and noted on the card in the run folder."""
    place = folder / 'model'
    if trained.card.calibration is None:  # an ensemble brings its own
        known = of_validation(kind, trained, plan, found)
        if known:
            model_folder.add_calibration(place, known)
            trained = trained._replace(card=replace(trained.card, calibration=known))
    if alike := likeness.measured(kind, trained, plan, found):
        model_folder.add_likeness(place, alike.known, alike.reference._asdict() if alike.reference else {})
        trained = trained._replace(card=replace(trained.card, likeness=alike.known))
    return trained


def of_validation(kind: Kind, trained: Trained, plan: Plan, found: RunCells) -> Calibration | None:
    """The calibration of a model by the cells of the validation fold; None if the plan asks for none."""
    options = plan.calibration
    if options.fit != 'validation':
        return None
    held_out = found.cells.take(found.parts.validation)
    shares = by_set(kind, trained, held_out, lambda run, images: kind.set_predictor(run)(images, plan.batch_size))
    labels, groups = held_out.labels, held_out.groups
    known = calibration.fitted(
        shares, labels, groups, 'validation fold', coverage=options.coverage, accuracy=options.accuracy
    )
    answers = f'from a confidence of {known.certain:.1%}' if known.certain is not None else 'none'
    log.info('calibrated on %d cells of %d groups, the validation fold: temperature %.2f, answers that are right in '
             '%g %%: %s', known.cells, known.groups, known.temperature, 100 * known.accuracy, answers)  # fmt: skip
    return known


class Told(NamedTuple):
    """The results of test cells: calibrated where the model is, and as they come where it is not."""

    probabilities: Float[np.ndarray, 'cells classes']
    columns: Columns  # further ones of the table of predictions
    found: Results | None  # how well the calibration holds


def told(probabilities: Float[np.ndarray, 'cells classes'], known: Calibration | None, test: Cells) -> Told:
    """The results of test cells, from their probabilities as a model gives them."""
    if known is None:
        return Told(probabilities, {}, None)
    said = calibration.applied(probabilities, known)
    found = calibration.measured(calibration.answers(said, test.labels, test.groups), known.coverage)
    return Told(said.probabilities, columns(said, test.classes), found)


def of_test(output: TestOutput, card: Card, test: Cells) -> TestOutput:
    """The output of a run for its test cells, calibrated; the very same without a calibration."""
    known = card.calibration
    if known is None:
        return output
    shares = inference.probabilities(output.logits, 'the model')
    if card.network is None:  # no chance at all became a logit, as logits are finite
        shares = np.where(shares > 2 * NO_CHANCE, shares, 0)
    said = told(shares, known, test)
    return output._replace(
        logits=np.log(np.maximum(said.probabilities, np.finfo(float).tiny)),
        found={**output.found, 'calibration': {**known.to_json(), 'test': said.found}},
        columns=said.columns,
    )


def columns(said: Calibrated, classes: Sequence[str]) -> Columns:
    """The further columns of a table of predictions: the answer, the set of classes, the confidence as it came."""
    return {
        'answer': [answer(*row, classes) for row in zip(said.probabilities, said.certain, strict=True)],
        'set': ['|'.join(possible(*row, classes)) for row in zip(said.probabilities, said.sets, strict=True)],
        'uncalibrated_confidence': [f'{share:.6f}' for share in said.before],
    }


def answer(shares: Float[np.ndarray, ' classes'], certain: bool | np.bool, classes: Sequence[str]) -> str:
    """The most probable class, or 'uncertain'."""
    return classes[int(shares.argmax())] if certain else UNCERTAIN


def possible(
    shares: Float[np.ndarray, ' classes'], within: Bool[np.ndarray, ' classes'], classes: Sequence[str]
) -> tuple[str, ...]:
    """The classes of a set, the most probable first."""
    return tuple(classes[place] for place in np.argsort(-shares, kind='stable') if within[place])


def pooled(rows: Sequence[Mapping[str, str]], coverage: float) -> Results:
    """The success of calibrations on the rows of tables of predictions, groups known by name."""
    sets = [row['set'].split('|') for row in rows]
    found = calibration.Answers(
        right=np.array([row['label'] == row['prediction'] for row in rows]),
        before=np.array([float(row['uncalibrated_confidence']) for row in rows]),
        after=np.array([float(row[f'probability_{row["prediction"]}']) for row in rows]),
        covered=np.array([row['label'] in classes for row, classes in zip(rows, sets, strict=True)]),
        sizes=np.array([len(classes) for classes in sets]),
        certain=np.array([row['answer'] != UNCERTAIN for row in rows]),
        groups=np.unique([row['group'] for row in rows], return_inverse=True)[1],
    )
    return calibration.measured(found, coverage)
