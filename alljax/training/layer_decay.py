"""A learning rate that falls from the last layers to the first, over the layers in the order in which they are called.

Bao et al. 2021 (BEiT, arXiv:2106.08254) fine-tune so: what is near the image is the most general.
"""

from collections.abc import Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp

from alljax.errors import UserError
from alljax.gradients.intermediates import layer_names
from alljax.models import Model, Variables
from alljax.models.trees import flatten

NEW = 'head'  # the new layers, whose rate stays
NORMALIZATION = {'scale', 'bias'}  # the leaves of a layer that only normalizes


def decayed(factors: Mapping[str, float], model: Model, variables: Variables, decay: float) -> dict[str, float]:
    """The factors on the learning rate of named parameters, each times `decay` to the power of its depth.

    The depth is 0 for the new layers, 1 for the last layer of the network before them, and so on to the first; see
    `depths`. UserError for a network whose layers cannot be told because it is no linen module.
    """
    if decay == 1:
        return dict(factors)
    image = jax.ShapeDtypeStruct((1, model.input.size, model.input.size, 3), jnp.float32)
    called = layer_names(model.apply, variables, image)
    if not called:
        raise UserError(
            f'config.optimizer.layer_decay is {decay:g}, but the order of the layers of {model.name} is unknown: it is '
            'no linen module; set it to 1, or write one pattern a layer in config.optimizer.factors'
        )
    depth = depths(list(flatten(variables['params'])), called)
    return {name: factor * decay ** depth[name] for name, factor in factors.items()}


def depths(parameters: Sequence[str], called: Iterable[str]) -> dict[str, int]:
    """The number of layers from each parameter to the new layers, from all names and the layers as they are called.

    A layer is a module at the top of the tree, such as 'conv1', 'layer4_1' or 'block11', in the order of the calls. A
    module that only normalizes belongs to the layer before it, and a parameter in no module, such as an embedding of
    positions, to the first layer.
    """
    leaves: dict[str, set[str]] = {}
    for name in parameters:
        top, _, rest = name.partition('/')
        leaves.setdefault(top, set()).add(rest)
    order: list[str] = []  # of the layers
    place: dict[str, int] = {}  # module at the top → place of its layer in `order`
    for top in dict.fromkeys(name.partition('/')[0] for name in called):
        if top == NEW or top not in leaves:
            continue
        if not order or not leaves[top] <= NORMALIZATION:
            order.append(top)
        place[top] = len(order) - 1
    return {
        name: 0 if name.startswith(f'{NEW}/') else len(order) - place.get(name.partition('/')[0], 0)
        for name in parameters
    }
