"""A network's programs for the cells of fields, compiled on one core while another still looks for the cells."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np

from alljax.predict import Predictor
from alljax.runs.network import TrainedNetwork
from alljax.smear import cell_heat_maps
from alljax.smear.answers import BATCH
from alljax.storage import progress_bar


@contextmanager
def compiled_ahead(run: Predictor) -> Iterator[None]:
    """Compiles the programs beside what is done in the `with`, at whose end they are there.

    Only a network has any; one that looks at several views of each cell would take longer here than it saves. A mistake
    in them is left to whoever asks the model for an answer.
    """
    if not isinstance(run.trained, TrainedNetwork) or run.card.views:
        yield
        return
    with ThreadPoolExecutor(1) as beside:
        beside.submit(_ask, run)
        yield


def _ask(run: Predictor) -> None:
    """Has the model answer as many empty crops as it is asked for at once, and map where its answers come from."""
    side = run.card.preparation.size
    crops = np.zeros((BATCH, side, side, 3), np.uint8)
    with progress_bar.heard_by(lambda _: None):
        run.probabilities(crops, BATCH)
        if run.score:
            run.score(crops, BATCH)
        if layer := cell_heat_maps.map_layer_of(run.trained):
            cell_heat_maps.of_crops(run.trained, layer, crops[:1], np.zeros(1, int))
