"""A convolution whose gradients are computed in other forms than it is itself."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

from alljax.models.cpu_convolution import xla
from alljax.models.cpu_convolution.xla import Image, Kernel, Output

Pads = tuple[tuple[int, int], ...]
Form = Callable[[Array, Array, Sequence[int], Pads], Array]  # of the same convolution


@partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4, 5))
def convolve(
    image: Image, kernel: Kernel, strides: tuple[int, ...], padding: Pads, of_image: Form, of_kernel: Form
) -> Output:
    """`xla.convolve`; its gradient to the image is the transpose of `of_image`, that to the kernel of `of_kernel`.

    Differentiable to any order, and a gradient that nobody asks for costs nothing.
    """
    return xla.convolve(image, kernel, strides, padding)


@partial(convolve.defjvp, symbolic_zeros=True)
def _convolve_jvp(
    strides: tuple[int, ...], padding: Pads, of_image: Form, of_kernel: Form, primals: tuple[Image, Kernel],
    tangents: tuple[Any, Any],
) -> tuple[Output, Output]:  # fmt: skip
    (image, kernel), (image_dot, kernel_dot) = primals, tangents
    parts = []
    if not isinstance(image_dot, SymbolicZero):
        parts.append(of_image(image_dot, kernel, strides, padding))
    if not isinstance(kernel_dot, SymbolicZero):
        parts.append(of_kernel(image, kernel_dot, strides, padding))
    output = convolve(image, kernel, strides, padding, of_image, of_kernel)
    return output, sum(parts[1:], parts[0]) if parts else jnp.zeros_like(output)
