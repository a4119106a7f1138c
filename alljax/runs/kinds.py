"""The kinds of runs: each trains, is loaded, predicts and is scored by functions of its own file."""

from functools import partial
from pathlib import Path

from alljax.config.plan import Plan
from alljax.runs import ensemble, ensemble_fit, single_kinds
from alljax.runs.single_kinds import Images, Kind, Predict, Trained
from alljax.storage import model_folder

__all__ = ['ENSEMBLE', 'Images', 'Kind', 'Predict', 'Trained', 'of_model', 'of_plan']

ENSEMBLE = Kind(
    ensemble_fit.fit,
    ensemble.load,
    ensemble.predictor,
    ensemble.score,
    partial(ensemble.predictor, keep=True),
    ensemble.adapted,
    ensemble.by_set,
)


def of_plan(plan: Plan) -> Kind:
    """The kind of run that a plan asks for."""
    return ENSEMBLE if plan.candidates else single_kinds.of_plan(plan)


def of_model(path: Path) -> Kind:
    """The kind of the model in a run folder, its model/ folder or the cache of weights; UserError if there is none."""
    folder = model_folder.find(path)
    card = model_folder.read_card(folder)
    card.refuse_detector(path)
    return ENSEMBLE if card.members else single_kinds.of_card(card, folder)
