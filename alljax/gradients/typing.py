"""The types of this package: networks, losses, images, classes, and the attribution that every method returns."""

from collections.abc import Callable
from typing import Any, Concatenate, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Int, Shaped

Params: TypeAlias = Any  # a tree of arrays, in whatever containers the network keeps them: JAX has no type for that

Images: TypeAlias = Float[Array, 'batch height width channels'] | Float[np.ndarray, 'batch height width channels']
Rows: TypeAlias = Shaped[Array, '_ ...'] | Shaped[np.ndarray, '_ ...']  # images or labels: a row for each example
Examples: TypeAlias = tuple[Rows, Rows]  # images and labels
Target: TypeAlias = int | Int[Array, ' batch'] | Int[np.ndarray, ' batch']  # a class for all images, or one for each
AttributionMap: TypeAlias = Float[Array, '_ _ _ ...'] | Float[np.ndarray, '_ _ _ ...']  # the channels may be gone

Apply: TypeAlias = Callable[[Params, Array], Array]  # (params, images) to logits [batch, classes]
Loss: TypeAlias = Callable[[Params, Array, Array], Array]  # (params, images, labels) to a loss for each image [batch]


@runtime_checkable
class HasApply(Protocol):
    """A linen module, an `alljax.models.Model`, or anything else with a method `apply(params, x) -> logits`."""

    @property
    def apply(self) -> Callable[..., Any]:
        """The function from parameters and images to logits; Any, because linen's own returns more on request."""


Network: TypeAlias = Apply | HasApply


class Attribution(NamedTuple):
    """The importance of each pixel for the target's logit, as found by any method of this package.

    `map` is [batch, height, width, channels], or [batch, height, width] from a method that does not tell channels
    apart. `gap` is by how much the map's sum misses the change of the logit that it explains, in units of the logit;
    None from a method that promises no such sum.
    """

    map: Float[Array, 'batch height width *channels']
    gap: Float[Array, ' batch'] | None = None


# (apply, params, x, target, **options) to an attribution; Any stands for the options, which differ from one to another.
Method: TypeAlias = Callable[Concatenate[Network, Params, Images, Target, ...], Attribution]
