"""Mixup: each cell of a step is blended with another of the same step, and so is its label."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float, Int, Key

POINTS = 2049  # of the table


class Blend(NamedTuple):
    """The other cell in each blended one."""

    label: Int[Array, ' batch']  # of the other cell
    share: Float[Array, '']  # of the cell's own picture and label, 0.5 to 1; the rest is the other's


def blended(
    image: Float[Array, 'batch ...'], label: Int[Array, ' batch'], key: Key[Array, ''], strength: float
) -> tuple[Float[Array, 'batch ...'], Blend]:
    """The cells, each blended with one that a random order of the batch puts beside it (Zhang et al. 2018, mixup).

    One share is drawn for the whole batch from Beta(strength, strength); the larger part is the cell's own (as in
    Berthelot et al. 2019, MixMatch), so that its label and its group still say what it is.
    """
    order, beta = jax.random.split(key)
    other = jax.random.permutation(order, len(label))
    share = drawn_share(beta, strength)
    return share * image + (1 - share) * image[other], Blend(label[other], share)


def drawn_share(key: Key[Array, ''], strength: float) -> Float[Array, '']:
    """The larger of λ and 1 - λ, for λ of Beta(strength, strength).

    By the inverse distribution function, between points of a table: `jax.random.beta` takes seconds to compile.
    """
    points = np.linspace(0.5, 1, POINTS)  # the distribution is symmetric
    return jnp.interp(jax.random.uniform(key, minval=0.5), points, scipy.stats.beta.ppf(points, strength, strength))
