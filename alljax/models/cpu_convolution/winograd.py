"""Winograd's minimal filtering along the rows (Lavin & Gray 2016, arXiv:1509.09308).

XLA:CPU computes a convolution by its definition, at the speed of its matrix product. Filtering four outputs at a time
takes 6 instead of 12 products for a kernel of 3, and 8 instead of 20 for one of 5.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache, partial, reduce

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float64

from alljax.models.cpu_convolution import bands, xla
from alljax.models.cpu_convolution.xla import Image, Kernel, Output

OUTPUTS = 4  # outputs of one tile
POINTS = (Fraction(0), Fraction(1), Fraction(-1), Fraction(2), Fraction(-2), Fraction(1, 2), Fraction(-1, 2))


@jax.custom_jvp
def convolve(image: Image, kernel: Kernel) -> Output:
    """A square odd kernel at stride 1, padded to the image's own size.

    Differentiable to any order: the gradient to the image is this filtering transposed, that to the kernel is of the
    convolution itself, which is faster than the transpose.
    """
    output: Array = _filter(image, kernel)
    return output


@convolve.defjvp
def _convolve_jvp(primals: tuple[Image, Kernel], tangents: tuple[Image, Kernel]) -> tuple[Output, Output]:
    (image, kernel), (image_dot, kernel_dot) = primals, tangents
    output, around = convolve(image, kernel), (kernel.shape[0] // 2,) * 2
    return output, _filter(image_dot, kernel) + bands.of_kernel(image, kernel_dot, (1, 1), (around, around))


@partial(jax.jit, inline=True)  # traced once a shape, however many programs have it: it is hundreds of small steps
def _filter(image: Image, kernel: Kernel) -> Output:
    height, width = image.shape[1:3]
    size = kernel.shape[0]
    pad, tiles = size // 2, -(-width // OUTPUTS)
    to_outputs, to_kernel, to_image = transforms(size)
    right = OUTPUTS * tiles + size - 1 - width - pad
    image = jnp.pad(image, ((0, 0), (0, 0), (pad, right), (0, 0)))
    last = OUTPUTS * (tiles - 1) + 1
    taps = [lax.slice_in_dim(image, tap, tap + last, OUTPUTS, axis=2) for tap in range(to_image.shape[0])]
    products = [
        xla.convolve(tile, column[:, None], (1, 1), [(pad, pad), (0, 0)])
        for tile, column in zip(
            _combine(to_image, taps), _combine(to_kernel, [kernel[:, tap] for tap in range(size)]), strict=True
        )
    ]
    outputs = jnp.stack(_combine(to_outputs, products), axis=3)
    return outputs.reshape(*outputs.shape[:2], OUTPUTS * tiles, -1)[:, :height, :width]


@lru_cache
def transforms(
    size: int,
) -> tuple[
    Float64[np.ndarray, 'outputs points'], Float64[np.ndarray, 'points size'], Float64[np.ndarray, 'points points']
]:
    """The matrices A, G and B of y = A [(G kernel) * (B image)], by Cook and Toom, at POINTS and infinity."""
    count = OUTPUTS + size - 1
    points = [float(point) for point in POINTS[: count - 1]]

    def powers(columns: int) -> np.ndarray:
        infinity = [0.0] * (columns - 1) + [1.0]
        return np.array([[point**power for power in range(columns)] for point in points] + [infinity])

    inverse = np.linalg.inv(powers(count)).T
    return powers(OUTPUTS).T, powers(size), np.where(np.abs(inverse) < 1e-12, 0.0, inverse)


def _combine(matrix: Float64[np.ndarray, 'out parts'], parts: Sequence[Array]) -> list[Array]:
    """The linear combinations that a small matrix asks for, its zeros and ones at no cost."""
    rows = []
    for row in matrix:
        terms = [
            part if factor == 1 else part * float(factor) for factor, part in zip(row, parts, strict=True) if factor
        ]
        rows.append(reduce(jnp.add, terms))
    return rows
