"""The loss that a network is trained, chosen and examined by: cross-entropy."""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int


def cross_entropy(
    logits: Float[Array, 'batch classes'],
    label: Int[Array, ' batch'],
    class_weights: Float[Array, ' classes'] | None = None,
    smoothing: float = 0.0,
) -> Float[Array, ' batch']:
    """The cross-entropy of each cell in nats, times the weight of its class where there are weights.

    With `smoothing` this share of each label is spread evenly over all classes (Szegedy et al. 2016).
    """
    losses: Float[Array, ' batch'] = optax.softmax_cross_entropy_with_integer_labels(logits, label)
    if smoothing:
        losses = (1 - smoothing) * losses - smoothing * jax.nn.log_softmax(logits).mean(-1)
    return losses if class_weights is None else losses * class_weights[label]


def mean_of_present(losses: Float[Array, ' batch'], present: Bool[Array, ' batch']) -> Float[Array, '']:
    """The mean loss of a batch without the cells that only fill it up."""
    return jnp.sum(losses * present) / present.sum()
