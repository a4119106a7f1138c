"""The matrix product of all positions of an image or sequence with one kernel, for dense layers and 1×1 convolutions.

XLA:CPU computes the gradient to the kernel of a product of two matrices as they lie in memory; of an array of more axes
it makes a transposed copy first, for which ResNet-50's step took 1.25 times as long, and ViT-B/32's 1.29 times.
"""

from typing import Any

from jax import lax
from jaxtyping import Array, Float


def row_product(
    x: Float[Array, '*positions channels'],
    kernel: Float[Array, 'channels features'],
    dimension_numbers: object = None,  # flax.linen.Dense's, which are those of this product
    **options: Any,  # of lax.dot_general
) -> Float[Array, '*positions features']:
    """`x @ kernel`, its rows those of one matrix; a `dot_general` for `flax.linen.Dense`."""
    rows = x.reshape(-1, x.shape[-1])
    return lax.dot_general(rows, kernel, (((1,), (0,)), ((), ())), **options).reshape(*x.shape[:-1], kernel.shape[1])
