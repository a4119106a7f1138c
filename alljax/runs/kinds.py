"""The kinds of runs: each trains, is loaded, predicts and is scored by functions of its own file.

Each is imported when it is asked for: whoever has a network waits for no classifiers of scikit-learn.
"""

from pathlib import Path

from alljax.config.plan import Plan
from alljax.runs import single_kinds
from alljax.runs.kind import Kind
from alljax.storage import model_folder


def of_plan(plan: Plan) -> Kind:
    """The kind of run that a plan asks for."""
    return _ensemble() if plan.candidates else single_kinds.of_plan(plan)


def of_model(path: Path) -> Kind:
    """The kind of the model in a run folder, its model/ folder or the cache of weights; UserError if there is none."""
    folder = model_folder.find(path)
    card = model_folder.read_card(folder)
    card.refuse_detector(path)
    return _ensemble() if card.members else single_kinds.of_card(card, folder)


def _ensemble() -> Kind:
    from alljax.runs.ensemble_kind import ENSEMBLE

    return ENSEMBLE
