"""Networks as two pure functions: `init(key) -> variables` and `apply(variables, image) -> logits`."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from alljax.models.alexnet import AlexNet
from alljax.models.convolution import for_processors
from alljax.models.head import Head

Variables = dict[str, Any]  # {'params': tree, 'batch_stats': tree, …}


class Input(NamedTuple):
    """What a network expects of an image: it travels with the weights."""

    size: int  # pixels a side
    mean: tuple[float, float, float]  # of RGB in 0 to 1
    deviation: tuple[float, float, float]


class Model(NamedTuple):
    """A network for a number of classes.

    `apply(variables, image, train=False, rngs=None, mutable=False)` is linen's own: image [batch, size, size, 3],
    normalized, to logits [batch, classes].
    """

    name: str
    init: Callable[[Key[Array, '']], Variables]
    apply: Callable[..., Any]
    input: Input


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and deviation of torchvision's weights


def alexnet(head: nn.Module, platform: str, **options: Any) -> tuple[nn.Module, Input]:
    """The paper's network at the paper's 227 pixels."""
    if platform == 'cpu':
        options['convolution'] = for_processors
    return AlexNet(head=head, **options), Input(227, *IMAGENET)


MODELS: dict[str, Callable[..., tuple[nn.Module, Input]]] = {'alexnet': alexnet}


def create(name: str, classes: int, *, head: int = 1024, platform: str | None = None, **options: Any) -> Model:
    """A network of MODELS with the paper's new layers on top; `options` go to its constructor (`width`, `dropout`).

    `platform` is the device's ('cpu', 'gpu'), by default JAX's.
    """
    module, form = MODELS[name](Head(classes, head, parent=None), platform or jax.default_backend(), **options)
    image = jax.ShapeDtypeStruct((1, form.size, form.size, 3), jnp.float32)

    def init(key: Key[Array, '']) -> Variables:
        return jax.jit(lambda key: module.init(key, jnp.zeros(image.shape, image.dtype)))(key)

    return Model(name, init, module.apply, form)
