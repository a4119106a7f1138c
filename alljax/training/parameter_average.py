"""An exponential moving average of what training changes, which tests better than the last step's values."""

import jax.numpy as jnp
from jaxtyping import Array, Int

from alljax.models import Variables
from alljax.models.trees import flatten, unflatten

Average = dict[str, Array]  # name of a variable, such as 'params/conv1/kernel' → its average


def started(variables: Variables, trained: dict[str, Array]) -> Average:
    """The average before the first step: the trained parameters, and batch statistics, as they start.

    `trained` names the parameters that learn. The leaves are copies, since a step overwrites its own.
    """
    return {name: jnp.copy(leaf) for name, leaf in _changing(variables, trained).items()}


def moved(
    average: Average, variables: Variables, trained: dict[str, Array], step: Int[Array, ''], decay: float
) -> Average:
    """The average after one more update; `step` is the number of updates before it.

    The decay is min(decay, (1 + step) / (10 + step)), so that early steps are soon forgotten (as in TensorFlow's
    ExponentialMovingAverage).
    """
    now = jnp.minimum(decay, (1 + step) / (10 + step))
    new = _changing(variables, trained)
    return {name: (now * old + (1 - now) * new[name]).astype(old.dtype) for name, old in average.items()}


def merged(variables: Variables, average: Average | None) -> Variables:
    """The variables with the averages in their place; as they are if nothing is averaged."""
    return unflatten(flatten(variables) | average) if average else variables


def _changing(variables: Variables, trained: dict[str, Array]) -> Average:
    names = {f'params/{name}' for name in trained}
    return {name: leaf for name, leaf in flatten(variables).items() if name in names or not name.startswith('params/')}
