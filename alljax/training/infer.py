"""Class probabilities of many cells, in batches of one shape."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Integer, UInt8

from alljax.data import augment
from alljax.models import Model, Variables

Logits = Callable[[Variables, UInt8[Array, 'batch height width 3']], Array]


def make_logits(model: Model) -> Logits:
    """The jitted forward pass from crops as they are kept, of any size, to logits."""

    @jax.jit
    def logits(variables: Variables, images: Array) -> Array:
        form = model.input
        return model.apply(variables, augment.normalize(augment.resize(images, form.size), form.mean, form.deviation))

    return logits


def run(
    logits: Logits,
    variables: Variables,
    images: UInt8[Array, 'cells height width 3'] | UInt8[np.ndarray, 'cells height width 3'],
    index: Integer[np.ndarray, ' chosen'],
    batch_size: int,
) -> Float32[np.ndarray, 'chosen classes']:
    """The logits of the cells at `index`; the last batch is filled up, and what filled it is dropped."""
    results = []
    for start in range(0, len(index), batch_size):
        batch = index[start : start + batch_size]
        filled = np.resize(batch, batch_size)
        results.append(logits(variables, jnp.asarray(images[filled]))[: len(batch)])
    return np.concatenate([np.asarray(result) for result in results])
