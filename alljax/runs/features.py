"""The features by which a trained model tells the classes apart, of a network and of a classical system."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from alljax.errors import UserError
from alljax.runs import classical_system
from alljax.runs.classical_system import Classical
from alljax.runs.network import TrainedNetwork
from alljax.training import inference

Images = UInt8[np.ndarray, 'cells height width 3']
Rows = Callable[[Images, int], Float[np.ndarray, 'cells features']]  # images and a batch size to features


def of_network(run: TrainedNetwork, score: str, keep: bool = False) -> Rows:
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

    def rows(images: Images, batch_size: int) -> Float[np.ndarray, 'cells features']:
        found = inference.run(apply, run.variables, images, np.arange(len(images)), batch_size)
        found = found.reshape(len(found), -1, found.shape[-1]).mean(1)
        return inference.finite(found.astype(float), run.whose)

    return rows


def of_system(run: Classical, score: str, keep: bool = False) -> Rows:
    """The measurements that the classifier takes, standardized if the system does that itself, whatever the score.

    With `keep` they are looked for in the user's cache, and kept there.
    """

    def rows(images: Images, batch_size: int) -> Float[np.ndarray, 'cells features']:
        values = classical_system.measured(run.system, run.bodies, images, batch_size, keep=keep).values
        values = run.standard.apply(values) if run.standard else values
        return inference.finite(values, run.card.model.get('name', 'the system'))

    return rows
