"""The form of a kind of runs: functions that train its models, load them, ask and score them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from alljax.config.plan import Plan
from alljax.data.cells import Cells
from alljax.data.split import Split
from alljax.runs.prediction_views import Predict
from alljax.runs.results import Results, TestOutput
from alljax.storage.streamed_pictures import Pictures

Probabilities = Float[np.ndarray, 'cells classes']
Trained = Any  # of one kind; all have `classes` and `card`
Tested = tuple[Probabilities, Results | None]  # and the `transductive` part of results.json
Rows = Callable[[Pictures, int], Float[np.ndarray, 'cells features']]  # images and a batch size to features
NO_CHANCE = 1e-12  # stands for a probability of 0, whose logarithm is not finite


class Kind(NamedTuple):
    """A kind of run. What `fit` and `load` return is passed to the others."""

    fit: Callable[[Plan, Cells, Split, Path], Trained]  # trains it and keeps the model in the run folder
    load: Callable[[Path], Trained]
    predictor: Callable[[Trained], Predict]
    score: Callable[[Trained, Plan, Cells, Split, Path], TestOutput]  # of the test cells
    set_predictor: Callable[[Trained], Predict]  # as `predictor`, for a data set: keeps measurements in the cache
    adapted: Callable[[Trained, Pictures], Trained]  # to the statistics of unlabelled images, if it was tested so
    by_set: Callable[[Trained, Cells, int], Tested]  # of a data set, each slide or set adapted to by itself
    features: Callable[[Trained, str, bool], Rows] | None = None  # that a score takes; True keeps measurements
