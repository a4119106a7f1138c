"""Runs of ensembles, as a kind of runs."""

from functools import partial

from alljax.runs import ensemble, ensemble_fit
from alljax.runs.kind import Kind

ENSEMBLE = Kind(
    ensemble_fit.fit,
    ensemble.load,
    ensemble.predictor,
    ensemble.score,
    partial(ensemble.predictor, keep=True),
    ensemble.adapted,
    ensemble.by_set,
)
