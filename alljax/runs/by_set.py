"""Answers of a model about cells; a transductive one is adapted to each slide or set of them first."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float

from alljax.data.cells import Cells
from alljax.runs import transduction
from alljax.runs.kind import Kind, Trained
from alljax.storage.streamed_pictures import Pictures

Rows = Float[np.ndarray, 'cells columns']


def by_set(kind: Kind, trained: Trained, cells: Cells, ask: Callable[[Trained, Pictures], Rows]) -> Rows:
    """A row for each cell, by what is asked of the model and the pictures of a set."""
    unit = trained.card.transductive
    if not unit:
        return ask(trained, cells.images)
    members = transduction.sets_of(cells, unit).members
    images = [cells.images[places] for places in members]
    rows = np.concatenate([ask(kind.adapted(trained, own), own) for own in images])
    return rows[np.argsort(np.concatenate(members))]
