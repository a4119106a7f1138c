"""The kinds of runs that make one model, a network or a classical system: an ensemble is made of such."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from alljax.config.plan import Plan
from alljax.data.cells import Cells
from alljax.data.split import Split
from alljax.errors import UserError
from alljax.runs import classical_system, features, network, transduction
from alljax.runs.classical_system import Classical
from alljax.runs.features import Rows
from alljax.runs.network import TrainedNetwork
from alljax.runs.prediction_views import Images, Predict
from alljax.runs.results import Results, TestOutput
from alljax.storage.card import Card
from alljax.training import inference

Probabilities = Float[np.ndarray, 'cells classes']
Trained = Any  # of one kind; all have `classes` and `card`
Tested = tuple[Probabilities, Results | None]  # and the `transductive` part of results.json


class Kind(NamedTuple):
    """A kind of run. What `fit` and `load` return is passed to the others."""

    fit: Callable[[Plan, Cells, Split, Path], Trained]  # trains it and keeps the model in the run folder
    load: Callable[[Path], Trained]
    predictor: Callable[[Trained], Predict]
    score: Callable[[Trained, Plan, Cells, Split, Path], TestOutput]  # of the test cells
    set_predictor: Callable[[Trained], Predict]  # as `predictor`, for a data set: keeps measurements in the cache
    adapted: Callable[[Trained, Images], Trained]  # to the statistics of unlabelled images, if it was tested so
    by_set: Callable[[Trained, Cells, int], Tested]  # of a data set, each slide or set adapted to by itself
    features: Callable[[Trained, str, bool], Rows] | None = None  # that a score takes; True keeps measurements


def _network_by_set(run: TrainedNetwork, cells: Cells, batch_size: int) -> Tested:
    unit = run.card.transductive
    if not unit:
        return network.predictor(run)(cells.images, batch_size), None
    ask = network.asks(run, inference.make_logits(run.model), batch_size)
    logits, about = transduction.logits_by_set(run.model, run.variables, cells, unit, ask)
    return inference.probabilities(logits, run.whose), about


def _system_by_set(run: Classical, cells: Cells, batch_size: int) -> Tested:
    unit = run.card.transductive
    if not unit:
        return classical_system.predictor(run, keep=True)(cells.images, batch_size), None
    values = classical_system.measured(run.system, run.bodies, cells.images, batch_size).values
    sets, shares = transduction.sets_of(cells, unit), np.empty((len(cells), len(run.classes)))
    for places in sets.members:
        own = classical_system.of_set(run, values[places])
        shares[places] = classical_system.predictor(own, keep=True)(cells.images[places], batch_size)
    return shares, transduction.about('features: the mean and deviation', unit, sets)


NETWORK = Kind(
    network.fit,
    network.load,
    network.predictor,
    network.score,
    network.predictor,
    network.adapted,
    _network_by_set,
    features.of_network,
)
SYSTEM = Kind(
    classical_system.fit,
    classical_system.load,
    classical_system.predictor,
    classical_system.score,
    partial(classical_system.predictor, keep=True),
    classical_system.adapted,
    _system_by_set,
    features.of_system,
)


def of_plan(plan: Plan) -> Kind:
    """The kind of run that the plan of a single model asks for."""
    return SYSTEM if plan.system else NETWORK


def of_card(card: Card, folder: Path) -> Kind:
    """The kind of a single model; UserError if its folder holds an ensemble."""
    if card.members:
        raise UserError(f'{folder}: holds an ensemble; expected a network or a classical system')
    return SYSTEM if card.system is not None else NETWORK
