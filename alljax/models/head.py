"""The layers that the paper puts in place of ImageNet's last three."""

import flax.linen as nn
from jaxtyping import Array, Float


class Head(nn.Module):
    """Features to logits through one hidden layer: fc `width` + ReLU + fc `classes` (paper, Methods and Table 4)."""

    classes: int
    width: int = 1024

    @nn.compact
    def __call__(self, x: Float[Array, 'batch features']) -> Float[Array, 'batch classes']:
        """Maps features to logits."""
        x = nn.relu(nn.Dense(self.width, name='hidden')(x))
        return nn.Dense(self.classes, name='logits')(x)
