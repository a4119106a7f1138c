"""What a network is made of: its module, what it expects of an image, and its own last layers."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn

from alljax.models.head import Linear


class Input(NamedTuple):
    """What a network expects of an image: it travels with the weights."""

    size: int  # pixels a side
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)  # of RGB in 0 to 1; these are torchvision's usual ones
    deviation: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize: int = 256  # of a photograph: pixels of the shorter side before the center crop of `size`
    interpolation: str = 'bilinear'  # or 'bicubic', of that resize
    color: str = 'RGB'  # the color model in which the network sees pictures: one of alljax.data.color.MODELS


class Network(NamedTuple):
    """A size of a family.

    `module` makes the linen module; `models.create` gives it `head`, the layers from features to logits, and of
    `width`, `dropout`, `act` and `convolution` those that it has and that are asked for.
    """

    module: Callable[..., nn.Module]
    input: Input
    head: Callable[[int], nn.Module] = Linear  # the published last layers for a number of classes
