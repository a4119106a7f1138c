"""The types of this package: networks, losses, inputs, classes, and the attribution that every method returns."""

from collections.abc import Callable
from typing import Any, Concatenate, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Array, Float, Int, Shaped

Params: TypeAlias = Any  # a tree of arrays, in whatever containers the network keeps them: JAX has no type for that

Inputs: TypeAlias = Shaped[Array, 'batch ...'] | Shaped[np.ndarray, 'batch ...']  # of any rank; integers are tokens
Rows: TypeAlias = Shaped[Array, '_ ...'] | Shaped[np.ndarray, '_ ...']  # inputs or labels: a row for each example
Examples: TypeAlias = tuple[Rows, Rows]  # inputs and labels
# A class for all inputs, or one for each; None for a network of one output.
Target: TypeAlias = int | Int[Array, ''] | Int[Array, ' batch'] | Int[np.ndarray, ' batch'] | None
AttributionMap: TypeAlias = Float[Array, '_ ...'] | Float[np.ndarray, '_ ...']  # the channels may be gone

Number: TypeAlias = float | Float[Array, ''] | np.floating[Any]  # which may be traced

# What is followed while inputs are hidden: the class's probability, or the output as it is. A network of one output has
# no probability, so that output is followed.
Score: TypeAlias = Literal['probability', 'output']

Apply: TypeAlias = Callable[[Params, Array], Array]  # (params, inputs) to logits [batch, classes] or one output [batch]
Loss: TypeAlias = Callable[[Params, Array, Array], Array]  # (params, inputs, labels) to a loss for each input [batch]
OutputLoss: TypeAlias = Callable[[Array, Array], Array]  # (outputs of `apply`, labels) to a loss for each input [batch]


@runtime_checkable
class HasApply(Protocol):
    """A linen module, an `alljax.models.Model`, or anything else with a method `apply(params, x) -> logits`."""

    @property
    def apply(self) -> Callable[..., Any]:
        """The function from parameters and inputs to logits; Any, because linen's own returns more on request."""


class SplitNetwork(NamedTuple):
    """A network of any library as two functions, so that there is a layer between them to look at: 'features'.

    `features(params, x)` gives the layer's output: a map [batch, rows, columns, channels], tokens [batch, tokens,
    channels], or anything else; of a tuple the first array is the layer, and the rest goes on to the head as it is.
    `head(params, output)` gives the logits. It is a network like any other, and `layer` need not be named. Define both
    functions once: what is compiled is kept by their identity.
    """

    features: Callable[[Params, Array], Any]
    head: Callable[[Params, Any], Array]

    def __call__(self, params: Params, x: Array) -> Array:
        """The logits."""
        return self.head(params, self.features(params, x))


Network: TypeAlias = Apply | HasApply  # a SplitNetwork is called as a function is


class Attribution(NamedTuple):
    """The importance of each input for the target's logit, as found by any method of this package.

    `map` has the shape of the inputs, without the channels from a method that does not tell them apart: of images
    [batch, height, width, channels] or [batch, height, width]; with `layer`, the shape of the layer's output. `gap` is
    by how much the map's sum misses the change of the logit that it explains, in units of the logit; None from a method
    that promises no such sum.
    """

    map: Float[Array, 'batch ...']
    gap: Float[Array, ' batch'] | None = None


# (apply, params, x, target, **options) to an attribution; Any stands for the options, which differ from one to another.
Method: TypeAlias = Callable[Concatenate[Network, Params, Inputs, Target, ...], Attribution]
