"""The share of an attribution that lies on the cell, where a mask tells the cell from its surroundings."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from alljax.gradients.argument_checks import ArgumentTypeError, check_finite, check_map
from alljax.gradients.positions import by_position
from alljax.gradients.typing import AttributionMap


class Localization(NamedTuple):
    """The share of an attribution that falls on a mask, for each image; 0 to 1.

    NaN where the mask is empty, and, but for the area, where the map is zero everywhere: it marks no pixel most.
    """

    pointing: Float[Array, ' batch']  # 1 if the most marked pixel lies on it (Zhang et al. 2016, arXiv:1608.00507)
    mass: Float[Array, ' batch']  # share of the absolute attribution (Arras et al. 2020, arXiv:2003.07258)
    rank: Float[Array, ' batch']  # share of the k most marked pixels, k being the size of the mask (the same paper)
    area: Float[Array, ' batch']  # share of the image: what mass and rank are by chance


def localization(
    attribution: AttributionMap, mask: Shaped[Array, '_ ...'] | Shaped[np.ndarray, '_ ...']
) -> Localization:  # fmt: skip
    """The scores of an attribution's map on a mask [batch, height, width] of the same size, zero outside.

    The channels of a pixel are summed, then its sign is dropped. The mask of inputs of another rank is of their
    positions: [batch, tokens]. Can be jitted. ValueError for other shapes.

    >>> found = gradients.saliency(apply, params, x, y)
    >>> gradients.localization(found.map, jnp.ones((4, 8, 8))).mass.shape
    (4,)
    """
    check_map('localization', attribution, x=mask if getattr(mask, 'ndim', 3) < 3 else None)
    if not hasattr(mask, 'shape'):
        raise ArgumentTypeError(f'localization: mask is {type(mask).__name__}; expected an array')
    check_finite('localization', 'mask', mask)
    marks, mask = jnp.abs(by_position(attribution, mask.ndim + 1)), jnp.asarray(mask, bool)
    if marks.shape != mask.shape:
        raise ValueError(f'localization: the attribution is {marks.shape} and the mask {mask.shape}; expected the same')
    marks, mask = (part.reshape(len(part), -1) for part in (marks, mask))
    size = mask.sum(1)
    order = jnp.argsort(-marks, axis=1, stable=True)
    ranked = jnp.take_along_axis(mask, order, 1)
    first = jnp.arange(mask.shape[1]) < size[:, None]
    scores = (
        ranked[:, 0].astype(float),
        (marks * mask).sum(1) / marks.sum(1),
        (ranked & first).sum(1) / size,
        size / mask.shape[1],
    )
    marked = (size > 0) & marks.any(1)
    known = (marked, marked, marked, size > 0)
    return Localization(*(jnp.where(there, score, jnp.nan) for there, score in zip(known, scores, strict=True)))
