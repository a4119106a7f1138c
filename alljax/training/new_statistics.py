"""Batch normalizations with the statistics of unlabelled images in the place of training's."""

from collections.abc import Callable, Collection

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from alljax.gradients.named_parameters import layer
from alljax.models import Model, Variables
from alljax.models.batch_statistics import estimate_statistics, share_of_new
from alljax.models.trees import flatten
from alljax.storage.streamed_pictures import Pictures, held
from alljax.training import inference

CHUNK = 64  # images whose statistics are taken at a time; those of several chunks are averaged

Estimate = Callable[[Variables, Array, Array, Array], Variables]


def make_estimate(model: Model) -> Estimate:
    """The jitted function from variables, a chunk of images, which of them count, and their share, to batch statistics.

    The images are as they are kept; dropout is off.
    """

    @jax.jit
    def estimate(
        variables: Variables,
        images: UInt8[Array, 'batch height width 3'],
        present: Bool[Array, ' batch'],
        share: Float[Array, ''],
    ) -> Variables:
        with estimate_statistics(present, share):
            _, changed = model.apply(variables, inference.prepared(images, model.input), mutable=['batch_stats'])
        found: Variables = changed['batch_stats']
        return found

    return estimate


def with_statistics_of(
    estimate: Estimate, variables: Variables, images: UInt8[np.ndarray, 'cells height width 3'], chunk: int = CHUNK
) -> Variables:
    """The variables with batch statistics of these images, `blended` with training's; for one image as they are.

    Layer after layer sees the images under the statistics of the layers before it. Of more images than a chunk the
    chunks, each a mixture of all, are averaged by their sizes.
    """
    if len(images) < 2:
        return variables
    share = jnp.float32(share_of_new(len(images)))
    parts, count = [], -(-len(images) // chunk)
    for start in range(count):
        index = np.arange(start, len(images), count)
        present = np.arange(chunk) < len(index)
        found = estimate(variables, jnp.asarray(images[np.resize(index, chunk)]), jnp.asarray(present), share)
        parts.append((len(index) / len(images), found))
    weights = [weight for weight, _ in parts]

    def mean(*leaves: Array) -> Array:
        return sum((weight * leaf for weight, leaf in zip(weights, leaves, strict=True)), jnp.zeros_like(leaves[0]))

    return {**variables, 'batch_stats': jax.tree.map(mean, *(found for _, found in parts))}


def adapted(model: Model, variables: Variables, images: Pictures) -> Variables:
    """The variables with batch statistics of these images, as of `with_statistics_of`."""
    images = held(images, 'a model that is adapted to the cells it is tested on')
    return with_statistics_of(make_estimate(model), variables, images, min(CHUNK, max(1, len(images))))


def any_held(variables: Variables, trained: Collection[str]) -> bool:
    """True if a batch normalization keeps its statistics in training, since none of its parameters is `trained`."""
    layers = {layer(name) for name in flatten(variables.get('batch_stats', {}))}
    return bool(layers - {layer(name) for name in trained})
