"""The network of a detector: a map of features of a frozen network of the zoo, and a small head that learns.

The head says of each position how likely the middle of a white cell is there, and how far it is from there to the four
sides of the cell's box, as do detectors without anchors [Zhou et al. 2019, CenterNet; Tian et al. 2019, FCOS].
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt8

from alljax import gradients
from alljax.errors import UserError
from alljax.gradients.intermediates import with_layer
from alljax.models import Model, NetworkSpec, Variables, is_linen

STRIDE = 8  # pixels from one position of the map to the next
DILATION = 2  # of the second convolution: together they see about a cell to each side
RARE = -4.0  # logit of a middle at the start: most positions are none [Lin et al. 2017]


class Head(nn.Module):
    """Three convolutions on a map of features, each position brought to mean 0 and deviation 1 by itself.

    No statistics of a whole picture are taken: what is found must not change with where a tile ends.
    """

    width: int = 32

    @nn.compact
    def __call__(self, features: Float[Array, 'batch rows columns channels']) -> Float[Array, 'batch rows columns 5']:
        """The logit of a middle, and the distances to the left, top, right and bottom of its box, in diameters."""
        x = nn.LayerNorm(name='norm')(features)
        x = nn.relu(nn.Conv(self.width, (3, 3), name='conv1')(x))
        x = nn.relu(nn.Conv(self.width, (3, 3), kernel_dilation=DILATION, name='conv2')(x))
        middle = nn.Conv(1, (1, 1), bias_init=nn.initializers.constant(RARE), name='middle')(x)
        return jnp.concatenate([middle, nn.softplus(nn.Conv(4, (1, 1), name='sides')(x))], -1)


class Trunk(NamedTuple):
    """The frozen layers: from pictures to a map of features."""

    features: Callable[[Variables, UInt8[Array, 'batch height width 3']], Float[Array, 'batch rows columns channels']]
    layer: str
    channels: int


@lru_cache(maxsize=4)  # the same function each time, or all is compiled again
def trunk(name: str) -> Trunk:
    """The layers of a network up to its last map of a position every STRIDE pixels; UserError where it has none."""
    model = NetworkSpec(name, {}).create(0)
    if not is_linen(model):
        raise UserError(f'config.model.name is {name}, whose layers are not known; choose another network')
    blank = jax.ShapeDtypeStruct((1, 16 * STRIDE, 16 * STRIDE, 3), jnp.float32)
    layer, channels = _last_map(model, blank)
    at_layer = with_layer(model.apply, layer)
    mean, deviation = (jnp.array(values) for values in (model.input.mean, model.input.deviation))

    @jax.jit
    def features(
        variables: Variables, images: UInt8[Array, 'batch height width 3']
    ) -> Float[Array, 'batch rows columns channels']:
        return at_layer(variables, (images / 255.0 - mean) / deviation).layer

    return Trunk(features, layer, channels)


def init_trunk(name: str, key: Key[Array, '']) -> Variables:
    """Random variables of a network, for a trunk without published weights."""
    return NetworkSpec(name, {}).create(0).init(key)


def _last_map(model: Model, blank: jax.ShapeDtypeStruct) -> tuple[str, int]:
    """The outermost layer with the last map of a position every STRIDE pixels, and its channels."""
    try:
        variables = jax.eval_shape(model.init, jax.random.key(0))
        names = [name for name in gradients.layer_names(model, variables, blank) if '/' not in name]
        shapes = {name: jax.eval_shape(with_layer(model.apply, name), variables, blank).layer.shape for name in names}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f'config.model.name is {model.name}, which takes no pictures of other sizes than its own ({error}); choose '
            'a convolutional network, such as efficientnet_lite0'
        ) from None
    side = blank.shape[1] // STRIDE
    maps = [name for name, shape in shapes.items() if len(shape) == 4 and shape[1:3] == (side, side)]
    if not maps:
        raise UserError(
            f'config.model.name is {model.name}, none of whose layers has a position every {STRIDE} pixels; choose a '
            'convolutional network, such as efficientnet_lite0'
        )
    return maps[-1], shapes[maps[-1]][-1]
