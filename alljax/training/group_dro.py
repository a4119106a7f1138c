"""Group DRO: the groups that do worst, such as slides, count more in the loss.

Sagawa et al. 2020, arXiv:1911.08731.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Integer


def uniform(groups: int) -> Float[Array, ' {groups}']:
    """The weights of the groups before the first step."""
    return jnp.full(groups, 1 / groups)


def objective(
    losses: Float[Array, ' batch'],
    group: Int[Array, ' batch'],
    present: Bool[Array, ' batch'],
    weights: Float[Array, ' groups'],
    rate: float,
) -> tuple[Float[Array, ''], Float[Array, ' groups']]:
    """The loss of one step, and the weights of the groups after it (algorithm 1 of the paper).

    The weight of a group grows by exp(rate × its mean loss), then all are brought to a sum of 1; the loss is the sum of
    the groups' mean losses times the new weights, which have no gradient. A group without a cell in the batch has a
    loss of 0.
    """
    members = (group[:, None] == jnp.arange(len(weights))) & present[:, None]
    counts = members.sum(0)
    means = (members * losses[:, None]).sum(0) / jnp.maximum(counts, 1)
    grown = weights * jnp.exp(rate * jax.lax.stop_gradient(means))
    new = grown / grown.sum()
    return jnp.sum(new * means), new


def numbered(groups: Integer[np.ndarray, ' cells'], train: Integer[np.ndarray, ' _']) -> tuple[np.ndarray, int]:
    """The groups of all cells as numbers from 0 among those of the training side, -1 for others; and how many."""
    names = np.unique(groups[train])
    places = np.searchsorted(names, groups).clip(max=len(names) - 1)
    return np.where(names[places] == groups, places, -1).astype(np.int32), len(names)
