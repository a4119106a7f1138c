"""Runs of classical systems, as a kind of runs."""

from functools import partial

import numpy as np
from jaxtyping import Float

from alljax.data.cells import Cells
from alljax.runs import classical_system, transduction
from alljax.runs.classical_system import Classical
from alljax.runs.kind import Kind, Rows, Tested
from alljax.storage.streamed_pictures import Pictures
from alljax.training import inference


def _features(run: Classical, score: str, keep: bool = False) -> Rows:
    """The measurements that the classifier takes, standardized if the system does that itself, whatever the score.

    With `keep` they are looked for in the user's cache, and kept there.
    """

    def rows(images: Pictures, batch_size: int) -> Float[np.ndarray, 'cells features']:
        values = classical_system.measured(run.system, run.bodies, images, batch_size, keep=keep).values
        values = run.standard.apply(values) if run.standard else values
        return inference.finite(values, run.card.model.get('name', 'the system'))

    return rows


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


SYSTEM = Kind(
    classical_system.fit,
    classical_system.load,
    classical_system.predictor,
    classical_system.score,
    partial(classical_system.predictor, keep=True),
    classical_system.adapted,
    _system_by_set,
    _features,
)
