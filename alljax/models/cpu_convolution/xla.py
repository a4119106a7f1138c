"""The convolution as XLA has it, for images in rows, columns and channels."""

from collections.abc import Sequence
from typing import Any

from jax import lax
from jaxtyping import Array, Float

Image = Float[Array, 'batch height width channels']
Kernel = Float[Array, 'rows columns channels features']
Output = Float[Array, 'batch above across features']

Padding = str | Sequence[tuple[int, int]]  # 'SAME', 'VALID', or zeros before and after the rows and the columns

NHWC = ('NHWC', 'HWIO', 'NHWC')


def convolve(
    image: Array,
    kernel: Array,
    strides: Sequence[int],
    padding: Padding,
    **options: Any,  # of lax.conv_general_dilated
) -> Array:
    """`lax.conv_general_dilated`, its `dimension_numbers` those of `flax.linen` unless told."""
    return lax.conv_general_dilated(image, kernel, strides, padding, **{'dimension_numbers': NHWC, **options})
