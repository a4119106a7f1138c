"""Convolution for CPUs: the form that XLA:CPU computes fastest, chosen by shape.

GPUs have libraries that do such things by themselves, so a model uses XLA's own there.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from alljax.models.cpu_convolution import bands, depthwise, grouped, strided, winograd, xla
from alljax.models.row_product import row_product

TAPS = 64  # of a depthwise kernel at most, because each is compiled
CHANNELS, KERNEL = 16, 49  # fewer channels and as many taps, in strides: `strided` is faster; for 3×3 taps it is not


def convolve(
    image: Array,
    kernel: Array,
    strides: Sequence[int],
    padding: xla.Padding,
    *,
    feature_group_count: int = 1,
    **options: Any,  # of lax.conv_general_dilated
) -> Array:
    """`xla.convolve`, or its equal where another form is faster; a `conv_general_dilated` for `flax.linen.Conv`.

    Equal within 1e-5 of the largest value in float32. Whatever is unusual (other dimensions or numbers, dilation) is
    left to XLA. `precision` is dropped elsewhere: CPUs compute in full.
    """
    if not _usual(image, kernel, feature_group_count, options):
        return xla.convolve(image, kernel, strides, padding, feature_group_count=feature_group_count, **options)
    size = kernel.shape[:2]
    strides = tuple(strides)
    pads = lax.padtype_to_pads(image.shape[1:3], size, strides, padding) if isinstance(padding, str) else padding
    pads = tuple((int(low), int(high)) for low, high in pads)
    if any(n + sum(pad) < k for n, pad, k in zip(image.shape[1:3], pads, size, strict=True)):
        return xla.convolve(image, kernel, strides, pads, feature_group_count=feature_group_count)  # nothing comes out
    if feature_group_count == image.shape[3] == kernel.shape[3] and size[0] * size[1] <= TAPS:
        return depthwise.convolve(image, kernel, strides, pads)
    if feature_group_count > 1:
        return grouped.convolve(image, kernel, strides, pads, feature_group_count)
    if size == (1, 1) and pads == ((0, 0), (0, 0)):
        return pointwise(image, kernel, strides)
    if strides == (1, 1) and _worth_filtering(image, kernel, pads):
        return winograd.convolve(image, kernel)
    if image.shape[3] < CHANNELS and min(strides) > 1 and size[0] * size[1] >= KERNEL:
        return strided.convolve(image, kernel, strides, pads)
    if bands.is_large(image, kernel, strides, pads):
        return bands.convolve(image, kernel, strides, pads)
    return xla.convolve(image, kernel, strides, pads)


def pointwise(image: Array, kernel: Array, strides: Sequence[int]) -> Array:
    """A kernel of one pixel: a matrix product, which XLA:CPU computes faster than the same as a convolution."""
    return row_product(image[:, :: strides[0], :: strides[1]], kernel[0, 0])


def _worth_filtering(image: Array, kernel: Array, pads: tuple[tuple[int, int], ...]) -> bool:
    """True if Winograd's form exists and gains a fifth or more, which has to pay for two seconds of compilation.

    For 3 channels at 224×224 it takes twice XLA's time and for 512 at 7×7 the gradients take 1.5 times as long; 16
    channels or 32 features, as in SqueezeNet and DenseNet, are a draw.
    """
    rows, columns, channels, features = kernel.shape
    same = rows == columns and rows in (3, 5) and pads == ((rows // 2,) * 2,) * 2
    return same and channels >= 32 and features >= 64 and image.shape[2] >= 13


def _usual(image: Array, kernel: Array, groups: int, options: dict[str, Any]) -> bool:
    """True of the plain convolution of images in one real type the other forms know, of shapes that fit."""
    if not (image.ndim == kernel.ndim == 4 and image.size and kernel.size and options.get('batch_group_count', 1) == 1):
        return False
    plain = all(set(options.get(name) or (1,)) == {1} for name in ('lhs_dilation', 'rhs_dilation'))
    single = image.dtype == kernel.dtype and image.dtype in (jnp.float32, jnp.float64)
    wanted = options.get('preferred_element_type') in (None, image.dtype)
    fits = groups > 0 and kernel.shape[2] * groups == image.shape[3] and kernel.shape[3] % groups == 0
    numbers = (options.get('dimension_numbers', xla.NHWC), xla.NHWC)
    specs = {lax.conv_dimension_numbers(image.shape, kernel.shape, spec) for spec in numbers}
    return plain and single and wanted and fits and len(specs) == 1
