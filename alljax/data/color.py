"""The color models whose channels the network may see instead of red, green and blue."""

import jax.numpy as jnp
from jaxtyping import Array, Float

# ITU-R BT.601 with 8-bit footroom: red, green and blue of 0 to 1 to Y of 16 to 235, Cb and Cr of 16 to 240
LUMA = (16.0, 65.481, 128.553, 24.966)
CB = (128.0, -37.797, -74.203, 112.0)
CR = (128.0, 112.0, -93.786, -18.214)
GRAY = (0.0, 76.245, 149.685, 29.07)  # the same Y without footroom
# of 255: what differs less is equal but for rounding, and one over it would be a gradient of rounding
LEAST = 1e-3


def convert(image: Float[Array, '*batch height width 3'], model: str) -> Float[Array, '*batch height width 3']:
    """The image, RGB values 0 to 255, in another color model of `MODELS`, each channel 0 to 255 again.

    The hue's 255 is a full turn; hue and its gradient are 0 where a pixel is grey, and so are saturation's where it is
    black. YCbCr is ITU-R BT.601's with footroom, as in MATLAB and scikit-image; gray is its luma without footroom, in
    three equal channels. Raises ValueError for a model of another name. Source: Shafique & Tehsin 2018, Table 1 (all
    but gray); HSV: Smith 1978, Color gamut transform pairs.
    """
    if model not in CHANNELS:
        raise ValueError(f'no color model is named {model!r}; there are {", ".join(MODELS)}')
    return CHANNELS[model](image)


def _rgb(image: Float[Array, '*batch 3']) -> Float[Array, '*batch 3']:
    return image


def _hsv(image: Float[Array, '*batch 3']) -> Float[Array, '*batch 3']:
    value, spread = image.max(-1), image.max(-1) - image.min(-1)
    saturation = 255 * _ratio(spread, value)
    return jnp.stack([_hue(image), saturation, value], -1)


def _ycbcr(image: Float[Array, '*batch 3']) -> Float[Array, '*batch 3']:
    return jnp.stack([_weighted(image, weights) for weights in (LUMA, CB, CR)], -1)


def _hcbcr(image: Float[Array, '*batch 3']) -> Float[Array, '*batch 3']:
    return jnp.stack([_hue(image), _weighted(image, CB), _weighted(image, CR)], -1)


def _gray(image: Float[Array, '*batch 3']) -> Float[Array, '*batch 3']:
    return jnp.stack([jnp.minimum(_weighted(image, GRAY), 255)] * 3, -1)  # white would be rounded to a little more


def _hue(image: Float[Array, '*batch 3']) -> Float[Array, '*batch']:
    red, green, blue = image[..., 0], image[..., 1], image[..., 2]
    most = image.max(-1)
    spread = most - image.min(-1)
    sixths = jnp.where(
        most == red,
        jnp.mod(_ratio(green - blue, spread), 6.0),
        jnp.where(most == green, 2 + _ratio(blue - red, spread), 4 + _ratio(red - green, spread)),
    )
    return jnp.where(spread > LEAST, 255 / 6 * sixths, 0.0)


def _ratio(part: Float[Array, '*batch'], whole: Float[Array, '*batch']) -> Float[Array, '*batch']:
    """Zero where the whole is nothing; the inner `where` keeps its division, and so NaN, out of the gradient."""
    there = whole > LEAST
    return jnp.where(there, part / jnp.where(there, whole, 1.0), 0.0)


def _weighted(image: Float[Array, '*batch 3'], weights: tuple[float, ...]) -> Float[Array, '*batch']:
    # sums, not a matrix product: the latter is rounded to 10 bits on some accelerators
    offset, red, green, blue = weights
    return offset + (red * image[..., 0] + green * image[..., 1] + blue * image[..., 2]) / 255


# those of Table 1 in its order, then others
CHANNELS = {'RGB': _rgb, 'HSV': _hsv, 'YCbCr': _ycbcr, 'HCbCr': _hcbcr, 'gray': _gray}
MODELS = tuple(CHANNELS)
