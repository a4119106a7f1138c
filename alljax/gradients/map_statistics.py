"""Numbers of an attribution's map alone: on how few inputs it lies."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from alljax.gradients.argument_checks import ArgumentTypeError, check_finite, is_array
from alljax.gradients.typing import AttributionMap


def sparseness(attribution: AttributionMap) -> Float[Array, ' batch']:
    """The Gini index of an attribution's absolute values (Chalasani et al. 2018, arXiv:1810.06583).

    0 where all inputs are marked alike, near 1 where one of many is marked alone. `attribution` is a map of any rank
    [batch, ...]; its channels count one by one, as in quantus. NaN where the map is zero everywhere. Can be jitted.

    >>> gradients.sparseness(jnp.eye(4)).tolist()
    [0.75, 0.75, 0.75, 0.75]
    """
    values = jnp.sort(_absolute('sparseness', attribution), axis=1)
    size = values.shape[1]
    weights = 2 * jnp.arange(1, size + 1, dtype=values.dtype) - size - 1
    return (weights * values).sum(1) / (size * values.sum(1))


def complexity(attribution: AttributionMap) -> Float[Array, ' batch']:
    """The entropy of the shares of an attribution's absolute values (Bhatt et al. 2020, arXiv:2005.00631), in nats.

    0 where one input is marked alone, the logarithm of their number where all are marked alike. `attribution` is a map
    of any rank [batch, ...]. NaN where the map is zero everywhere. Can be jitted.

    >>> gradients.complexity(jnp.eye(4)).tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    values = _absolute('complexity', attribution)
    shares = values / values.sum(1, keepdims=True)
    return jnp.abs(jnp.where(shares > 0, shares * jnp.log(jnp.where(shares > 0, shares, 1)), 0 * shares).sum(1))


def _absolute(function: str, attribution: AttributionMap) -> Float[Array, 'batch values']:
    if not is_array(attribution):
        raise ArgumentTypeError(
            f'{function}: attribution is {type(attribution).__name__}: expected an array; give the map of it '
            '(attribution.map)'
        )
    if len(attribution.shape) < 2 or 0 in attribution.shape:
        raise ValueError(f'{function}: attribution is {tuple(attribution.shape)}; expected a map for each input')
    check_finite(function, 'attribution', attribution)
    return jnp.abs(jnp.asarray(attribution)).reshape(len(attribution), -1)
