"""A first convolution, of few channels by a large kernel in strides, for CPUs: both of its gradients fast.

XLA:CPU takes 43 ms for AlexNet's (11×11, stride 4, 3 channels, batch 28, two cores) and 60 for its kernel's gradient,
but 150 for the image's. The equal convolution of blocks of stride × stride pixels (3×3 over 48 channels) takes 30
there, and three times as long everywhere else, so it is used for that gradient only.
"""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from alljax.models.cpu_convolution import gradient_forms, xla
from alljax.models.cpu_convolution.gradient_forms import Pads
from alljax.models.cpu_convolution.xla import Image, Kernel, Output


def convolve(image: Image, kernel: Kernel, strides: tuple[int, ...], padding: Pads) -> Output:
    """`xla.convolve`; differentiable to any order."""
    output: Array = gradient_forms.convolve(image, kernel, strides, padding, _of_blocks, xla.convolve)
    return output


def _of_blocks(image: Array, kernel: Array, strides: Sequence[int], padding: Pads) -> Array:
    """The same convolution over blocks of pixels as channels; the kernel is filled up with zeros to whole blocks."""
    sizes = list(zip(image.shape[1:3], kernel.shape[:2], strides, padding, strict=True))
    blocks = [-(-k // s) for _, k, s, _ in sizes]
    need = [((n + sum(pad) - k) // s + b) * s for (n, k, s, pad), b in zip(sizes, blocks, strict=True)]
    around = [(pad[0], want - n - pad[0], 0) for (n, _, _, pad), want in zip(sizes, need, strict=True)]
    image = lax.pad(image, jnp.zeros((), image.dtype), [(0, 0, 0), *around, (0, 0, 0)])
    (tall, wide), (down, across) = ([want // s for want, s in zip(need, strides, strict=True)], strides)
    image = image.reshape(len(image), tall, down, wide, across, -1).swapaxes(2, 3).reshape(len(image), tall, wide, -1)
    rows, columns = blocks
    filled = [(0, b * s - k) for b, (_, k, s, _) in zip(blocks, sizes, strict=True)]
    kernel = jnp.pad(kernel, [*filled, (0, 0), (0, 0)])
    kernel = kernel.reshape(rows, down, columns, across, *kernel.shape[2:]).swapaxes(1, 2)
    return xla.convolve(image, kernel.reshape(rows, columns, -1, kernel.shape[-1]), (1, 1), [(0, 0), (0, 0)])
