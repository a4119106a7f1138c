"""AlexNet in torchvision's single-stream form (Krizhevsky 2014, arXiv:1404.5997)."""

import flax.linen as nn
from jax import lax
from jaxtyping import Array, Float

from alljax.models.layers import DENSE_LAYERS, Act, Convolution, Layer, Map, adaptive_avg_pool, max_pool, scaled
from alljax.models.network_definition import Input, Network

#           name, channels, kernel, stride, padding, pooled after
CONVOLUTIONS = (
    ('conv1', 64, 11, 4, 2, True),
    ('conv2', 192, 5, 1, 2, True),
    ('conv3', 384, 3, 1, 1, False),
    ('conv4', 256, 3, 1, 1, False),
    ('conv5', 256, 3, 1, 1, True),
)


class AlexNet(nn.Module):
    """Five convolutions, fc6 and fc7 with dropout before each, then `head`; 6×6×256 features."""

    head: Layer
    width: float = 1.0  # factor on every layer's channels, for small tests
    dropout: float = 0.5  # probability of a zero, before fc6 and fc7
    dense: bool = True  # False leaves out fc6 and fc7: `head` gets the map of the last convolution
    act: Act = nn.relu
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes'] | Map:
        """Maps normalized RGB to logits; `train` switches dropout on, which then needs rngs={'dropout': key}."""
        for name, channels, kernel, stride, padding, pooled in CONVOLUTIONS:
            convolve = nn.Conv(
                scaled(channels, self.width),
                (kernel, kernel),
                (stride, stride),
                padding,
                conv_general_dilated=self.convolution,
                name=name,
            )
            x = self.act(convolve(x))
            x = max_pool(x) if pooled else x
        if not self.dense:
            return self.head(x)
        x = adaptive_avg_pool(x, 6)
        x = x.reshape(x.shape[0], -1)
        for name in DENSE_LAYERS:
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
            x = self.act(nn.Dense(scaled(4096, self.width), name=name)(x))
        return self.head(x)


# The paper's 227 pixels; torchvision's weights were trained at 224, which gives the same 6×6 features.
NETWORKS = {'alexnet': Network(AlexNet, Input(227))}
