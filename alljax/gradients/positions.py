"""The positions of inputs of any rank: pixels of images, places in a sequence, features of a table."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from alljax.gradients.typing import AttributionMap


def positions(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of inputs without their channels: [batch, features], [batch, tokens], [batch, height, width]."""
    return tuple(shape[:-1] if len(shape) > 2 else shape)


def over_channels(values: Array, x: Array) -> Array:
    """A number for each position of inputs, to be broadcast over their channels."""
    return values[..., None] if values.ndim < x.ndim else values


def by_position(attribution: AttributionMap, axes: int) -> Float[Array, 'batch ...']:
    """One number for each position of inputs of so many axes, the batch's one of them: channels are summed, if any."""
    values = jnp.asarray(attribution)
    return values.sum(-1) if values.ndim == axes > 2 else values
