"""The mean loss over a data set and its gradient, batch by batch."""

from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from alljax.gradients import batching
from alljax.gradients.example_gradients import check_loss
from alljax.gradients.named_parameters import widened
from alljax.gradients.parameter_checks import check_trained
from alljax.gradients.typing import Loss, Params, Rows


def check_mean(function: str, loss: Loss, params: Params, x: Rows, y: Rows, batch_size: int | None) -> None:
    """The checks of a loss that gives a number for each example, and of parameters that all vary."""
    check_trained(function, params)
    check_loss(function, loss, params, x, y, batch_size, of_curvature=True)


def mean_and_gradient(
    loss: Loss, params: Params, x: Rows, y: Rows, batch_size: int | None
) -> tuple[Float[Array, ''], Params]:
    """The mean loss, and its gradient to all parameters in float32 or wider."""
    total, gradient = batching.total(partial(_sum_and_gradient, loss, params), batch_size, x, y)
    return total / len(x), jax.tree.map(lambda leaf: leaf / len(x), gradient)


def length(tree: Params) -> Float[Array, '']:
    """The length of a tree of numbers as one vector."""
    return jnp.sqrt(jnp.asarray(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(widened(tree)))))


def scaled(tree: Params, factor: float | Float[Array, '']) -> Params:
    """The tree times a number."""
    return jax.tree.map(lambda leaf: (leaf * factor).astype(leaf.dtype), tree)


def added(params: Params, step: Params) -> Params:
    """Parameters and a step, in the types of the parameters."""
    return jax.tree.map(lambda leaf, move: (leaf + move).astype(jnp.result_type(leaf)), params, step)


@partial(jax.jit, static_argnums=0)
def _sum_and_gradient(loss: Loss, params: Params, x: Array, y: Array, present: Array) -> tuple[Array, Params]:
    def total(params: Params) -> Array:
        return jnp.sum(jnp.where(present, loss(params, x, y), 0))

    found, gradient = jax.value_and_grad(total)(params)
    return found, widened(gradient)
