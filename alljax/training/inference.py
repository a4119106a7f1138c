"""Class probabilities of many cells, in batches of one shape."""

import time
from collections.abc import Callable, Iterator, Sequence

import jax
import numpy as np
import scipy
from jaxtyping import Array, Float, Float32, Integer, Shaped

from alljax.data import augment, color
from alljax.errors import UserError
from alljax.models import Input, Model, Variables
from alljax.storage.streamed_pictures import StreamedPictures
from alljax.training import devices

Logits = Callable[[Variables, Shaped[Array, 'batch ...']], Array]
Rows = Shaped[Array, 'cells ...'] | Shaped[np.ndarray, 'cells ...'] | StreamedPictures


def make_logits(model: Model) -> Logits:
    """The jitted forward pass from crops as they are kept, of any size, to logits; divided among all devices."""
    mesh = devices.mesh()

    @jax.jit
    def logits(variables: Variables, images: Array) -> Array:
        return model.apply(variables, prepared(devices.divided(images, mesh), model.input))

    return logits


def prepared(images: Shaped[Array, 'batch height width 3'], form: Input) -> Float[Array, 'batch size size 3']:
    """Crops as they are kept, of any size, as the network expects them."""
    return to_input(augment.resize(images, form.size), form)


def to_input(image: Float[Array, 'batch height width 3'], form: Input) -> Float[Array, 'batch height width 3']:
    """RGB of 0 to 255 as the network expects it: in its color model, less the mean, over the deviation."""
    return augment.normalize(color.convert(image, form.color), form.mean, form.deviation)


def seconds_a_cell(logits: Logits, variables: Variables, images: Shaped[Array, 'batch ...']) -> float:
    """Seconds that a cell takes in a batch of this size: the median of three, after one that compiles."""
    jax.block_until_ready(logits(variables, images))
    times = []
    for _ in range(3):
        start = time.perf_counter()
        jax.block_until_ready(logits(variables, images))
        times.append(time.perf_counter() - start)
    return float(np.median(times)) / len(images)


def run(
    logits: Logits,
    variables: Variables,
    images: Rows,
    index: Integer[np.ndarray, ' chosen'],
    batch_size: int,
) -> Float32[np.ndarray, 'chosen ...']:
    """The logits of the cells at `index`; the last batch is filled up, and what filled it is dropped.

    For the `logits` of a head alone `images` are features.
    """
    results = [*in_batches(logits, variables, images, index, batch_size)]
    return np.concatenate([np.asarray(result) for result in results])


def in_batches(
    logits: Logits, variables: Variables, images: Rows, index: Integer[np.ndarray, ' chosen'], batch_size: int
) -> Iterator[Array]:
    """The same batch by batch, as they come; pictures on the disk are read while earlier ones are worked on."""
    parts = [index[start : start + batch_size] for start in range(0, len(index), batch_size)]
    for part, rows in zip(parts, _rows(images, [np.resize(part, batch_size) for part in parts]), strict=True):
        yield logits(variables, jax.device_put(rows))[: len(part)]


def _rows(images: Rows, order: Sequence[Integer[np.ndarray, ' batch']]) -> Iterator[Array | np.ndarray]:
    return images.batches(order) if isinstance(images, StreamedPictures) else (images[index] for index in order)


def probabilities(
    logits: Float[np.ndarray, 'cells classes'] | Float[Array, 'cells classes'], whose: object
) -> Float[np.ndarray, 'cells classes']:
    """The softmax of logits, in double precision; UserError, naming `whose` they are, if one is not finite."""
    found: Float[np.ndarray, 'cells classes'] = scipy.special.softmax(
        finite(np.asarray(logits, np.float64), whose), axis=1
    )
    return found


def finite(values: Float[np.ndarray, 'cells ...'], whose: object) -> Float[np.ndarray, 'cells ...']:
    """The very same logits or features; UserError, naming `whose` they are, if one is not finite: that is no class."""
    broken = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
    if broken.any():
        raise UserError(
            f'{whose}: gives NaN or infinity for {broken.sum()} of {len(values)} images, and so no class; the model is '
            'damaged or its training diverged: train or convert it again'
        )
    return values
