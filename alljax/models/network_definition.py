"""A network as MODELS lists it: its module, what it expects of an image, and its own last layers."""

from collections.abc import Callable, Collection, Mapping
from typing import Literal, NamedTuple, Protocol, overload, runtime_checkable

import flax.linen as nn
from jaxtyping import Array, Float, Key

from alljax.models.head import Linear
from alljax.models.trees import Tree

Variables = Tree  # {'params': tree, 'batch_stats': tree, …}


class Input(NamedTuple):
    """The image that a network expects: this travels with the weights."""

    size: int  # pixels a side
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # of RGB in 0 to 1; these are torchvision's usual ones
    deviation: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize: int = 256  # of a photograph: pixels of the shorter side before the center crop of `size`
    interpolation: str = 'bilinear'  # or 'bicubic', of that resize
    color: str = 'RGB'  # the color model in which the network sees images: one of alljax.data.color.MODELS


@runtime_checkable
class Apply(Protocol):
    """Logits of normalized images [batch, size, size, 3]; with `mutable`, also the variables that the call changed.

    `train` turns on dropout, which draws from `rngs['dropout']`, and the batch's own statistics, which need
    `mutable=['batch_stats']`. A network without head gives its features instead of logits, and a head takes them.
    """

    @overload
    def __call__(
        self,
        variables: Variables,
        image: Float[Array, 'batch ...'],
        /,
        *,
        train: bool = ...,
        rngs: Mapping[str, Key[Array, '']] | None = ...,
        mutable: Literal[False] = ...,
    ) -> Float[Array, 'batch ...']: ...

    @overload
    def __call__(
        self,
        variables: Variables,
        image: Float[Array, 'batch ...'],
        /,
        *,
        train: bool = ...,
        rngs: Mapping[str, Key[Array, '']] | None = ...,
        mutable: Collection[str],
    ) -> tuple[Float[Array, 'batch ...'], Variables]: ...

    def __hash__(self) -> int:
        """A function can be a key, as those are of what was compiled for it."""


class ModuleFunctions(NamedTuple):
    """The two functions of a module that is none of linen's, as linen has them."""

    init: Callable[[Key[Array, ''], Float[Array, 'batch height width 3']], Variables]
    apply: Apply


class Network(NamedTuple):
    """A size of a family.

    `module` makes the linen module; `models.create` gives it `head`, the layers from features to logits, and of
    `width`, `dropout`, `act` and `convolution` those that it has and that are asked for.
    """

    module: Callable[..., nn.Module | ModuleFunctions]
    input: Input
    head: Callable[[int], nn.Module] = Linear  # the published last layers for a number of classes
