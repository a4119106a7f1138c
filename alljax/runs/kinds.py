"""The kinds of runs: each trains, is loaded, predicts and is scored by functions of its own file."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from alljax.config.plan import Plan
from alljax.data.cells import Cells
from alljax.data.split import Split
from alljax.runs import classical_system, features, network
from alljax.runs.features import Rows
from alljax.runs.results import TestOutput
from alljax.storage import model_folder

Images = UInt8[np.ndarray, 'cells height width 3']
Predict = Callable[[Images, int], Float[np.ndarray, 'cells classes']]  # images and a batch size to probabilities
Trained = Any  # of one kind; all have `classes` and `card`


class Kind(NamedTuple):
    """A kind of run. What `fit` and `load` return is passed to the others."""

    fit: Callable[[Plan, Cells, Split, Path], Trained]  # trains it and keeps the model in the run folder
    load: Callable[[Path], Trained]
    predictor: Callable[[Trained], Predict]
    score: Callable[[Trained, Plan, Cells, Split, Path], TestOutput]  # of the test cells
    set_predictor: Callable[[Trained], Predict]  # as `predictor`, for a data set: keeps measurements in the cache
    adapted: Callable[[Trained, Images], Trained]  # to the statistics of unlabelled images, if it was tested so
    features: Callable[[Trained, str, bool], Rows] | None = None  # that a score takes; True keeps measurements


NETWORK = Kind(
    network.fit, network.load, network.predictor, network.score, network.predictor, network.adapted, features.of_network
)
SYSTEM = Kind(
    classical_system.fit,
    classical_system.load,
    classical_system.predictor,
    classical_system.score,
    partial(classical_system.predictor, keep=True),
    classical_system.adapted,
    features.of_system,
)


def of_plan(plan: Plan) -> Kind:
    """The kind of run that a plan asks for."""
    return SYSTEM if plan.system else NETWORK


def of_model(path: Path) -> Kind:
    """The kind of the model in a run folder, its model/ folder or the cache of weights; UserError if there is none."""
    return SYSTEM if model_folder.read_card(model_folder.find(path)).system is not None else NETWORK
