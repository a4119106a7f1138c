"""JPEG's loss, on the device: blocks of 8 × 8 pixels, their cosine transform, rounded coefficients, and back."""

import jax.numpy as jnp
import numpy as np
from jax.lax import Precision
from jaxtyping import Array, Float

BLOCK = 8  # pixels a side
LUMINANCE = np.array([
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
])  # fmt: skip
CHROMINANCE = np.full((BLOCK, BLOCK), 99)
CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]
TABLES = np.stack([LUMINANCE, CHROMINANCE, CHROMINANCE], -1)  # of ITU-T T.81, Annex K, for quality 50

_K, _N = np.mgrid[:BLOCK, :BLOCK]
COSINES = np.cos(np.pi * (2 * _N + 1) * _K / (2 * BLOCK)) * np.where(_K == 0, 1 / BLOCK, 2 / BLOCK) ** 0.5
# JFIF's color: rows are Y, Cb and Cr; the two last are around 0
TO_YCC = np.array([[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]])
FROM_YCC = np.linalg.inv(TO_YCC)


def compressed(
    images: Float[Array, 'cells height width 3'], quality: Float[Array, ' cells']
) -> Float[Array, 'cells height width 3']:
    """The images, values 0 to 255, as they come back from a JPEG file of each one's quality, 1 to 100.

    With the standard tables as libjpeg scales them, and with color at full resolution (4:4:4). Source: ITU-T T.81.
    """
    height, width = images.shape[1:3]
    whole = jnp.round(jnp.clip(images, 0, 255))
    padded = jnp.pad(whole, ((0, 0), (0, -height % BLOCK), (0, -width % BLOCK), (0, 0)), mode='edge')
    planes = jnp.round(_mixed(padded, TO_YCC)) - jnp.array([128.0, 0.0, 0.0])
    blocks = planes.reshape(len(images), padded.shape[1] // BLOCK, BLOCK, padded.shape[2] // BLOCK, BLOCK, 3)
    table = tables(quality)[:, None, :, None, :, :]
    kept = jnp.round(_transformed(blocks, COSINES) / table) * table
    found = jnp.round(_transformed(kept, COSINES.T)).reshape(planes.shape) + jnp.array([128.0, 0.0, 0.0])
    # libjpeg keeps each channel in a byte between the two steps
    found = jnp.clip(found, jnp.array([0.0, -128.0, -128.0]), jnp.array([255.0, 127.0, 127.0]))
    return jnp.clip(jnp.round(_mixed(found, FROM_YCC)), 0, 255)[:, :height, :width]


def tables(quality: Float[Array, ' cells']) -> Float[Array, 'cells 8 8 3']:
    """The steps to which the coefficients of Y, Cb and Cr are rounded at a quality of 1 to 100, as libjpeg has them."""
    percent = jnp.where(quality < 50, jnp.floor(5000 / quality), 200 - 2 * quality)
    return jnp.clip(jnp.floor((TABLES * percent[:, None, None, None] + 50) / 100), 1, 255)


def _transformed(blocks: Float[Array, 'cells rows 8 columns 8 3'], matrix: np.ndarray) -> Array:
    return jnp.einsum('ij,crjskp,lk->crislp', matrix, blocks, matrix, precision=Precision.HIGHEST)


def _mixed(images: Float[Array, 'cells height width 3'], matrix: np.ndarray) -> Array:
    # sums, not a matrix product: the latter is rounded to 10 bits on some accelerators
    parts = (sum(float(weight) * images[..., i] for i, weight in enumerate(row)) for row in matrix)
    return jnp.stack([*parts], -1)
