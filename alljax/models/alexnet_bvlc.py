"""The AlexNet of the 2012 paper (Krizhevsky et al., NIPS 25), on two streams and with LRN, as Caffe trained it."""

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from alljax.models.layers import Act, Convolution, Image, Layer, adaptive_avg_pool, he_normal, max_pool, scaled
from alljax.models.network_definition import Input, Network

#           name, channels, kernel, stride, padding, groups, normalized after, pooled after
CONVOLUTIONS = (
    ('conv1', 96, 11, 4, 0, 1, True, True),
    ('conv2', 256, 5, 1, 2, 2, True, True),
    ('conv3', 384, 3, 1, 1, 1, False, False),
    ('conv4', 384, 3, 1, 1, 2, False, False),
    ('conv5', 256, 3, 1, 1, 2, False, True),
)
MEAN = (122.67891434, 116.66876762, 104.00698793)  # ImageNet's mean pixel, in RGB, of Caffe's ilsvrc_2012_mean.npy

# Pixels come as they are, from -123 to 151: a kernel that much smaller gives features of the usual size.
of_pixels = nn.initializers.variance_scaling(2 / 70**2, 'fan_in', 'truncated_normal')


class AlexNetBVLC(nn.Module):
    """Five convolutions, fc6 and fc7 with dropout after each, then `head`; 6×6×256 features."""

    head: Layer
    width: float = 1.0
    dropout: float = 0.5  # probability of a zero, after fc6 and fc7
    act: Act = nn.relu
    convolution: Convolution = lax.conv_general_dilated

    @nn.compact
    def __call__(
        self, x: Float[Array, 'batch height width 3'], *, train: bool = False
    ) -> Float[Array, 'batch classes']:
        """Maps RGB less its mean to logits; `train` switches dropout on, which then needs rngs={'dropout': key}."""
        for name, channels, kernel, stride, padding, groups, normalized, pooled in CONVOLUTIONS:
            convolve = nn.Conv(
                scaled(channels, self.width, multiple=2),
                (kernel, kernel),
                (stride, stride),
                [(padding, padding)] * 2,
                feature_group_count=groups,
                kernel_init=of_pixels if name == 'conv1' else he_normal,
                conv_general_dilated=self.convolution,
                name=name,
            )
            x = self.act(convolve(x))
            x = response_norm(x) if normalized else x
            x = max_pool(x, ceil=True) if pooled else x  # Caffe rounds up; at 227 pixels there is nothing to round
        x = adaptive_avg_pool(x, 6)
        x = x.reshape(x.shape[0], -1)
        for name in ('fc6', 'fc7'):
            x = self.act(nn.Dense(scaled(4096, self.width), name=name)(x))
            x = nn.Dropout(self.dropout, deterministic=not train)(x)
        return self.head(x)


def response_norm(x: Image, size: int = 5, alpha: float = 1e-4) -> Image:
    """Each value over (1 + `alpha` times the mean square of the `size` channels around it)^¾ (section 3.3).

    Caffe's form: the mean, of squares that are zero beyond the first and last channel, where the paper has the sum, and
    1 where it has 2.
    """
    around = ((0, 0), (0, 0), (0, 0), (size // 2, size // 2))
    total = lax.reduce_window(x * x, 0.0, lax.add, (1, 1, 1, size), (1, 1, 1, 1), around)
    scale = 1 + alpha / size * total
    # scale^-¾ without a logarithm; so, and by windows, in a fifth of the time of a power and sums over slices.
    return x * lax.rsqrt(scale * jnp.sqrt(scale))


red, green, blue = (value / 255 for value in MEAN)
NETWORKS = {'alexnet_bvlc': Network(AlexNetBVLC, Input(227, (red, green, blue), (1 / 255, 1 / 255, 1 / 255)))}
