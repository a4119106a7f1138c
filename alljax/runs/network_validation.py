"""The validation of a network while it trains: its loss and accuracy on the cells of the validation fold."""

from functools import partial

import jax.numpy as jnp
import numpy as np

from alljax.data.cells import Cells
from alljax.data.split import Split
from alljax.models import Variables
from alljax.training import devices, inference, loop
from alljax.training.inputs import Inputs
from alljax.training.loss import cross_entropy


def validation(batch_size: int, fed: Inputs, cells: Cells, parts: Split) -> loop.Validate | None:
    """The function from variables to mean loss and accuracy on the validation fold; None if there is no such fold.

    Processes that train together share the cells, and have the loss of the first one, by which all choose alike.
    """
    index = parts.validation
    if not len(index):
        return None
    labels = cells.labels[index]

    def validate(variables: Variables) -> tuple[float, float]:
        own = devices.of_this_process(variables)
        logits = devices.shared(partial(inference.run, fed.logits, own, fed.images, batch_size=batch_size), index)
        losses = cross_entropy(jnp.asarray(logits), jnp.asarray(labels))
        return float(devices.of_first(losses.mean())), float(np.mean(logits.argmax(1) == labels))

    return validate
