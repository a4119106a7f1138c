"""Runs of networks, as a kind of runs."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from alljax.data.cells import Cells
from alljax.errors import UserError
from alljax.runs import network, transduction
from alljax.runs.kind import Kind, Rows, Tested
from alljax.runs.network import TrainedNetwork
from alljax.storage.streamed_pictures import Pictures
from alljax.training import inference


def _features(run: TrainedNetwork, score: str, keep: bool = False) -> Rows:
    """The features before the last layers, a map averaged over its positions; for the score 'energy' the logits.

    They are computed anew, whatever `keep` says: they are those of this run's variables alone.

    UserError for a network whose last layers cannot be told from the others.
    """
    model = run.model
    if score != 'energy':
        spec, form = run.card.expect_network(run.folder or Path(run.whose))
        halves = spec.cut(len(run.classes))
        if halves is None:
            raise UserError(f'{run.whose}: is no linen module, so its features are unknown; train it again without '
                            'config.calibration.unlike')  # fmt: skip
        model = halves[0]._replace(input=form)
    apply = inference.make_logits(model)

    def rows(images: Pictures, batch_size: int) -> Float[np.ndarray, 'cells features']:
        found = inference.run(apply, run.variables, images, np.arange(len(images)), batch_size)
        found = found.reshape(len(found), -1, found.shape[-1]).mean(1)
        return inference.finite(found.astype(float), run.whose)

    return rows


def _network_by_set(run: TrainedNetwork, cells: Cells, batch_size: int) -> Tested:
    unit = run.card.transductive
    if not unit:
        return network.predictor(run)(cells.images, batch_size), None
    ask = network.asks(run, inference.make_logits(run.model), batch_size)
    logits, about = transduction.logits_by_set(run.model, run.variables, cells, unit, ask)
    return inference.probabilities(logits, run.whose), about


NETWORK = Kind(
    network.fit,
    network.load,
    network.predictor,
    network.score,
    network.predictor,
    network.adapted,
    _network_by_set,
    _features,
)
