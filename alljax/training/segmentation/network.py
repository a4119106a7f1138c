"""A small U-Net (Ronneberger et al. 2015) in Flax, as alljax.baselines.segment.unet computes it in NumPy."""

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from alljax.baselines.segment.unet import BLOCK
from alljax.models.trees import Tree, flatten

WIDTHS = (16, 32, 48, 64)  # channels of the levels, each at half the resolution of the one before
CLASSES = 3
EPSILON = 1e-5


class Unet(nn.Module):
    """Logits of background, cytoplasm and nucleus at each pixel, of optical densities."""

    widths: tuple[int, ...] = WIDTHS

    @nn.compact
    def __call__(
        self, x: Float[Array, 'cells height width 3'], train: bool = False
    ) -> Float[Array, 'cells height width 3']:
        """The logits; sides have to be multiples of all strides."""
        first, skipped = _blocks(x), []
        x = first
        for level, width in enumerate(self.widths):
            if level:
                x = _pooled(x)
            x = self._pair(x, f'down{level}', width, train)
            skipped.append(x)
        for place, level in enumerate(reversed(range(len(self.widths) - 1))):
            x = jnp.concatenate([x.repeat(2, 1).repeat(2, 2), skipped[level]], -1)
            x = self._pair(x, f'up{place}', self.widths[level], train)
        return _pixels(nn.Conv(CLASSES * BLOCK**2, (3, 3), name='head')(jnp.concatenate([x, first], -1)))

    def _pair(self, x: Array, name: str, width: int, train: bool) -> Array:
        for number in range(2):
            x = nn.Conv(width, (3, 3), use_bias=False, name=f'{name}_{number}')(x)
            norm = nn.BatchNorm(not train, momentum=0.9, epsilon=EPSILON, name=f'{name}_{number}_norm')
            x = nn.relu(norm(x))
        return x


def folded(variables: Tree) -> dict[str, np.ndarray]:
    """The kernel and bias of each convolution by name, the batch normalization behind it folded in: float32."""
    given = {name: np.asarray(leaf, np.float64) for name, leaf in flatten(variables).items()}
    found = {}
    for name in sorted({key.split('/')[1] for key in given if key.endswith('/kernel')}):
        kernel, norm = given[f'params/{name}/kernel'], f'{name}_norm'
        if f'params/{norm}/scale' in given:
            spread = np.sqrt(given[f'batch_stats/{norm}/var'] + EPSILON)
            gain = given[f'params/{norm}/scale'] / spread
            bias = given[f'params/{norm}/bias'] - gain * given[f'batch_stats/{norm}/mean']
            kernel = kernel * gain
        else:
            bias = given[f'params/{name}/bias']
        found[f'{name}/kernel'], found[f'{name}/bias'] = kernel.astype(np.float32), bias.astype(np.float32)
    return found


def _pooled(x: Array) -> Array:
    """The largest of each 2×2 places, as maxima over strided slices: the gradient is faster than that of a pool."""
    rows = jnp.maximum(x[:, ::2], x[:, 1::2])
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def _blocks(x: Array) -> Array:
    cells, height, width, channels = x.shape
    split = x.reshape(cells, height // BLOCK, BLOCK, width // BLOCK, BLOCK, channels).transpose(0, 1, 3, 2, 4, 5)
    return split.reshape(cells, height // BLOCK, width // BLOCK, BLOCK * BLOCK * channels)


def _pixels(x: Array) -> Array:
    cells, height, width, channels = x.shape
    split = x.reshape(cells, height, width, BLOCK, BLOCK, channels // BLOCK**2).transpose(0, 1, 3, 2, 4, 5)
    return split.reshape(cells, height * BLOCK, width * BLOCK, channels // BLOCK**2)
