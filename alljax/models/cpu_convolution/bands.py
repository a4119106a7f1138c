"""The convolution of a large image for CPUs: its gradient to the kernel in bands of rows, which the cache holds.

XLA:CPU takes 738 ms for that of 64 to 128 channels at 112×112 (3×3, batch 8, two cores), and 126 in bands of seven
rows; 346 for 24 to 24 at 192×192, and 55 so. On maps of fewer than 28 rows there is little or no difference.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array

from alljax.models.cpu_convolution import gradient_forms, xla
from alljax.models.cpu_convolution.gradient_forms import Pads
from alljax.models.cpu_convolution.xla import Image, Kernel, Output

LARGE = 28  # rows of the output, from which on bands are faster
ROWS = 7  # of a band; as many bands as BANDS at most, because each is compiled
BANDS = 16


def is_large(image: Image, kernel: Kernel, strides: Sequence[int], padding: Pads) -> bool:
    """True if bands are faster; they are not made where one might see nothing of the image, only what pads it."""
    around = padding[0]
    return _rows(image, kernel, strides, around) >= LARGE and max(around) < kernel.shape[0]


def convolve(image: Image, kernel: Kernel, strides: tuple[int, ...], padding: Pads) -> Output:
    """`xla.convolve`; differentiable to any order."""
    output: Array = gradient_forms.convolve(image, kernel, strides, padding, convolve, of_kernel)
    return output


def of_kernel(image: Image, kernel: Kernel, strides: Sequence[int], padding: Pads) -> Output:
    """The same as a linear function of the kernel, whose transpose is that gradient."""
    if not is_large(image, kernel, strides, padding):
        return xla.convolve(image, kernel, strides, padding)
    (around, across), (size, high, stride) = padding, (kernel.shape[0], image.shape[1], strides[0])
    rows = _rows(image, kernel, strides, around)
    band = max(ROWS, -(-rows // BANDS))
    parts = []
    for start in range(0, rows, band):
        first = start * stride - around[0]
        last = (min(start + band, rows) - 1) * stride - around[0] + size
        outside = (max(-first, 0), max(last - high, 0))
        parts.append(xla.convolve(image[:, max(first, 0) : min(last, high)], kernel, strides, (outside, across)))
    return jnp.concatenate(parts, 1)


def _rows(image: Image, kernel: Kernel, strides: Sequence[int], around: tuple[int, int]) -> int:
    return (image.shape[1] + sum(around) - kernel.shape[0]) // strides[0] + 1
