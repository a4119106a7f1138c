"""From kept crops to network input on the device: turn, mirror, resize and normalize in one pass over the pixels."""

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt8


class Augmentation(NamedTuple):
    """Changes of training cells that leave their class as it is, and when they are made."""

    copies: Literal['fresh', 'published'] = 'fresh'  # anew at each step, or as copies that are made once [paper]
    rotate: float = 180.0  # degrees, either way [paper]
    light: float = 0.0  # standard deviation of each channel's log gain; 0 [paper]
    mirror: bool = True  # half of the cells, left to right [paper]
    # by alljax.data.jitter:
    stain: float = 0.0  # standard deviation of the log gain and of the shift of each stain
    blur: float = 0.0  # largest standard deviation, pixels
    noise: float = 0.0  # largest standard deviation, of 255
    jpeg: int = 0  # lowest quality; 0 for no compression
    gray: float = 0.0  # probability of a cell without color

    @property
    def at_each_step(self) -> bool:
        """True if each step changes its cells anew."""
        return self.copies == 'fresh' and any(self[1:])


def draw(
    key: Key[Array, ''], count: int, *, degrees: float, mirror: bool
) -> tuple[Float[Array, ' {count}'], Float[Array, ' {count}']]:
    """A random turn for each of `count` cells, uniform in ± `degrees`, as radians; and its mirror sign, 1 or -1."""
    turn, flip = jax.random.split(key)
    angle = jax.random.uniform(turn, (count,), minval=-1.0, maxval=1.0) * jnp.deg2rad(degrees)
    sign = jnp.where(jax.random.bernoulli(flip, 0.5, (count,)) & mirror, -1.0, 1.0)
    return angle, sign


def warp(
    images: UInt8[Array, 'cells height width 3'],
    angle: Float[Array, ' cells'],
    sign: Float[Array, ' cells'],
    size: int,
) -> Float[Array, 'cells {size} {size} 3']:
    """The cells turned by `angle` radians, mirrored where `sign` is -1, at `size` pixels a side, values 0 to 255.

    Bilinear; what a turn brings in from outside the crop is its reflection, so no black corner tells of the turn.
    """
    height, width = images.shape[1:3]
    rows, columns = (jnp.arange(size) + 0.5) / size - 0.5, (jnp.arange(size) + 0.5) / size - 0.5

    def one(image: Array, angle: Array, sign: Array) -> Array:
        y, x = rows[:, None], columns[None, :] * sign
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        row = _reflect((cos * y + sin * x + 0.5) * height - 0.5, height)
        column = _reflect((cos * x - sin * y + 0.5) * width - 0.5, width)
        return _bilinear(image, row, column)

    return jax.vmap(one)(images, angle, sign)


def relight(
    images: Float[Array, 'cells height width 3'], key: Key[Array, ''], strength: float
) -> Float[Array, 'cells height width 3']:
    """The cells under another lamp and stain: each channel of each cell times its own log-normal gain.

    `strength` is the standard deviation of the gain's logarithm, half of its variance shared by the three channels.
    """
    count = images.shape[0]
    normal = jax.random.normal(key, (count, 4))
    gain = jnp.exp(strength * (normal[:, :3] + normal[:, 3:]) / jnp.sqrt(2.0))
    return images * gain[:, None, None, :]


def resize(images: UInt8[Array, 'cells height width 3'], size: int) -> Float[Array, 'cells {size} {size} 3']:
    """The cells as they are, at `size` pixels a side: what validation, test and prediction see."""
    count = images.shape[0]
    return warp(images, jnp.zeros(count), jnp.ones(count), size)


def normalize(
    image: Float[Array, 'cells height width 3'], mean: tuple[float, ...], deviation: tuple[float, ...]
) -> Float[Array, 'cells height width 3']:
    """Values 0 to 255 as 0 to 1, less the mean, over the deviation, both per channel."""
    # The mean is taken off first: after the product it might be fused with it, which rounds otherwise, in one of the
    # loops for which XLA computes the image anew, and not in another.
    return (image - 255 * jnp.array(mean)) / (255 * jnp.array(deviation))


def _reflect(position: Float[Array, 'rows columns'], length: int) -> Float[Array, 'rows columns']:
    """Coordinates folded back into the picture, as a mirror at the outer edge of the border pixels would."""
    # XLA computes a remainder once: the same position found twice may round to either side of a pixel's border, and the
    # pixels that are gathered would not be those that are weighted.
    folded = jnp.mod(position + 0.5, 2 * length)
    return jnp.clip(jnp.minimum(folded, 2 * length - folded) - 0.5, 0, length - 1)


def _bilinear(
    image: UInt8[Array, 'height width 3'], row: Float[Array, 'rows columns'], column: Float[Array, 'rows columns']
) -> Float[Array, 'rows columns 3']:
    image = jnp.pad(image, [(0, int(length == 1)) for length in image.shape[:2]] + [(0, 0)], 'edge')
    top, left = (
        jnp.minimum(place.astype(jnp.int32), length - 2)
        for place, length in zip((row, column), image.shape[:2], strict=True)
    )
    # The four pixels around a place as one word for each channel, so that one gather brings all that it needs.
    wide = image.astype(jnp.uint32)
    words = wide[:-1, :-1] | wide[:-1, 1:] << 8 | wide[1:, :-1] << 16 | wide[1:, 1:] << 24
    around = words.at[top, left].get(mode='promise_in_bounds')
    upper_left, upper_right, lower_left, lower_right = (
        (around >> bits & 255).astype(jnp.float32) for bits in (0, 8, 16, 24)
    )
    down, across = (row - top)[..., None], (column - left)[..., None]
    upper = upper_left * (1 - across) + upper_right * across
    lower = lower_left * (1 - across) + lower_right * across
    return upper * (1 - down) + lower * down
