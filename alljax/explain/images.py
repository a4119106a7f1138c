"""Cells at the size of the network's input, and without the detail that tells their class."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float

from alljax.data import augment
from alljax.data.image_files import ImageFile
from alljax.runs.network import TrainedNetwork
from alljax.training import inference

BLUR = 1 / 20  # of the side of the input: the standard deviation of the blur that hides what tells a class


class Batch(NamedTuple):
    """Some cells at the size of the input."""

    rgb: Float[Array, 'batch size size 3']  # 0 to 255
    x: Float[Array, 'batch size size 3']  # normalized, as the network takes it
    blurred: Float[Array, 'batch size size 3']  # the same cells without detail, normalized


def batch(run: TrainedNetwork, cells: Sequence[ImageFile]) -> Batch:
    """Cells as the network takes them, and blurred copies of them.

    The blur is of the picture, not of the network's input: a mean of hues would be no hue.
    """
    form = run.model.input
    rgb = _resized(jnp.asarray(np.stack([cell.pixels for cell in cells])), form.size)
    deviation = form.size * BLUR
    blurred = jnp.asarray(scipy.ndimage.gaussian_filter(np.asarray(rgb), (0, deviation, deviation, 0), mode='reflect'))
    return Batch(rgb, _to_input(rgb, form), _to_input(blurred, form))


_resized = jax.jit(augment.resize, static_argnums=1)
_to_input = jax.jit(inference.to_input, static_argnums=1)
