"""From features to logits: the layers that take the place of ImageNet's last one."""

from collections.abc import Callable

import flax.linen as nn
from jaxtyping import Array, Float


class Head(nn.Module):
    """Features to logits through one hidden layer: fc `width` + ReLU + fc `classes` (paper, Methods and Table 4).

    A map of features is averaged over its positions first.
    """

    classes: int
    width: int = 1024
    act: Callable[[Array], Array] = nn.relu

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch features'] | Float[Array, 'batch height width features']
    ) -> Float[Array, 'batch classes']:
        """Maps features to logits."""
        x = x.mean((1, 2)) if x.ndim == 4 else x
        x = self.act(nn.Dense(self.width, name='hidden')(x))
        return nn.Dense(self.classes, name='logits')(x)


class Linear(nn.Module):
    """One dense layer, the last one of most published networks; a map of features is averaged over its positions."""

    classes: int

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch features'] | Float[Array, 'batch height width features']
    ) -> Float[Array, 'batch classes']:
        """Maps features to logits."""
        x = x.mean((1, 2)) if x.ndim == 4 else x
        return nn.Dense(self.classes, name='logits')(x)


class Features(nn.Module):
    """No layer at all: what the network says of an image before its last layer."""

    average: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch features'] | Float[Array, 'batch height width features']
    ) -> Float[Array, 'batch ...']:
        """Averages a map of features over its positions, if asked to."""
        return x.mean((1, 2)) if x.ndim == 4 and self.average else x
