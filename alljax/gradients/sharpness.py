"""The sharpness of a minimum: how far the loss rises within a ball around the parameters."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from alljax.gradients.argument_checks import check_counts, check_not_negative
from alljax.gradients.loss_landscape import random_direction
from alljax.gradients.mean_gradients import added, check_mean, length, mean_and_gradient, scaled
from alljax.gradients.named_parameters import widened
from alljax.gradients.typing import Loss, Params, Rows


class WorstLoss(NamedTuple):
    """The largest loss that was found in a ball around the parameters; what it has above the loss is the sharpness."""

    loss: Float[Array, '']  # at the parameters
    worst: Float[Array, '']
    step: Params  # from the parameters to there


def sam_perturbation(
    loss: Loss, params: Params, x: Rows, y: Rows, *, radius: float = 0.05, adaptive: bool = False,
    batch_size: int | None = None,
) -> Params:  # fmt: skip
    """The step of length `radius` along the gradient of the mean loss: SAM's ascent (Foret et al. 2021).

    `adaptive`, ASAM's (Kwon et al. 2021, arXiv:2102.11600), which the scale of the weights does not change: radius × w²
    g / ‖w g‖. `loss(params, x, y)` gives a loss for each example [N]; examples are of any rank. SAM's gradient is that
    at params + step. Zero where the gradient is. Can be jitted. Source: arXiv:2010.01412.

    >>> step = gradients.sam_perturbation(loss, params, x, y, radius=0.1)
    >>> above = gradients.mean_loss(loss, x, y)(jax.tree.map(jnp.add, params, step))
    """
    check_not_negative('sam_perturbation', radius=radius)
    check_mean('sam_perturbation', loss, params, x, y, batch_size)
    _, gradient = mean_and_gradient(loss, params, x, y, batch_size)
    if not adaptive:
        return _of_length(gradient, radius)
    weighted = jax.tree.map(lambda slope, leaf: slope * jnp.abs(leaf), gradient, widened(params))
    return jax.tree.map(lambda slope, leaf: slope * jnp.abs(leaf), _of_length(weighted, radius), widened(params))


def worst_loss(
    loss: Loss, params: Params, x: Rows, y: Rows, *, radius: float = 0.05, steps: int = 20,
    key: Key[Array, ''] | None = None, batch_size: int | None = None,
) -> WorstLoss:  # fmt: skip
    """The largest mean loss within `radius` of the parameters, by projected gradient ascent: a lower bound of it.

    The first step is SAM's, or leads in a random direction with a `key`; the others go along the gradient, by the
    radius and then by less and less, and back into the ball. What was largest on the way counts, the parameters
    included. `loss(params, x, y)` gives a loss for each example [N]; examples are of any rank.
    Can be jitted, though each step is a copy of the loss in the program. The sharpness of Keskar et al. 2017
    (arXiv:1609.04836) is (worst − loss) / (1 + loss).

    >>> found = gradients.worst_loss(loss, params, x, y, radius=0.1, steps=3)
    >>> bool(found.worst > found.loss)
    True
    """
    check_not_negative('worst_loss', radius=radius)
    check_counts('worst_loss', steps=steps)
    check_mean('worst_loss', loss, params, x, y, batch_size)
    here, gradient = mean_and_gradient(loss, params, x, y, batch_size)
    still = scaled(gradient, 0.0)
    way = gradient if key is None else widened(random_direction(params, key))
    worst, best, place = here, still, _of_length(way, radius)
    for step in range(steps):
        found, gradient = mean_and_gradient(loss, added(params, place), x, y, batch_size)
        worst, best = _larger(found > worst, (found, place), (worst, best))
        ahead = _of_length(gradient, radius * (1 - step / steps))
        place = _within(jax.tree.map(jnp.add, place, ahead), radius)
    return WorstLoss(here, worst, best)


def _of_length(tree: Params, wanted: float | Float[Array, '']) -> Params:
    """The direction of a tree at another length; zero if it has none."""
    size = length(tree)
    return scaled(tree, wanted / jnp.where(size > 0, size, 1))


def _within(tree: Params, radius: float | Float[Array, '']) -> Params:
    size = length(tree)
    return scaled(tree, jnp.minimum(1, radius / jnp.where(size > 0, size, 1)))


@jax.jit
def _larger(first: Array, one: Params, other: Params) -> Params:
    return jax.tree.map(lambda a, b: jnp.where(first, a, b), one, other)
