"""The data that a network is trained and tested on: images, or features where all layers but the last are frozen."""

import logging
from collections.abc import Collection
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int, Key, Shaped

from alljax.data import augment, jitter
from alljax.data.augment import Augmentation
from alljax.models import Model, NetworkSpec, Variables
from alljax.storage import cache
from alljax.storage.streamed_pictures import Pictures, StreamedPictures
from alljax.training import devices, frozen_features, inference
from alljax.training.batch_sources import BatchSource, DeviceCells, StreamedCells
from alljax.training.learning_rate_factors import head_only
from alljax.training.step import Prepare

log = logging.getLogger(__name__)


class Inputs(NamedTuple):
    """A network and the data it takes."""

    model: Model  # from what `prepare` gives to logits
    images: Shaped[Array, 'cells ...'] | StreamedPictures  # on the device, or on the disk
    prepare: Prepare  # augments and normalizes rows of `images`, for training
    logits: inference.Logits  # jitted, from rows of `images`
    variables: Variables  # those that training starts from and may change


class NetworkInTraining(NamedTuple):
    """A network, how it was asked for, and the names of its parameters that are trained."""

    spec: NetworkSpec
    classes: int
    model: Model
    trained: Collection[str]


def make_inputs(
    network: NetworkInTraining, variables: Variables, images: Pictures, augmentation: Augmentation, batch_size: int
) -> Inputs:
    """Features if only the head is trained and every step would see the same images; else the images."""
    halves = body_and_head(network)
    if halves and not augmentation.at_each_step:
        body, head = halves
        return feature_inputs(head, body_features(network.spec, body, variables, images, batch_size), variables)
    if head_only(network.trained):
        log.info('only the head is trained, but its features are computed anew at each step, because %s',
                 'each step turns its cells anew; --config.augment.copies=published computes them once' if halves else
                 f'{network.model.name} is no linen module')  # fmt: skip
    return image_inputs(network.model, variables, images, augmentation)


def body_and_head(network: NetworkInTraining) -> tuple[Model, Model] | None:
    """The network as frozen body and trained head; None if more is trained, or where to cut it is unknown."""
    if not head_only(network.trained):
        return None
    return network.spec.cut(network.classes)


def body_features(
    spec: NetworkSpec, body: Model, variables: Variables, images: Pictures, batch_size: int
) -> Shaped[Array, 'cells ...']:
    """The features that a frozen body gives, from the user's cache where it has them."""
    about = {**spec.without_head().options, 'averaged': spec.averages}
    return jnp.asarray(frozen_features.features(body, variables, about, images, batch_size, cache.folder('features')))


def image_inputs(model: Model, variables: Variables, images: Pictures, augmentation: Augmentation) -> Inputs:
    """A whole network with the images of the cells."""
    prepare = make_prepare(model, augmentation)
    held = images if isinstance(images, StreamedPictures) else jnp.asarray(images)
    return Inputs(model, held, prepare, inference.make_logits(model), variables)


def feature_inputs(head: Model, features: Shaped[Array, 'cells ...'], variables: Variables) -> Inputs:
    """A head with the features of the cells; of the network's `variables` it takes its own."""
    own = {'params': {'head': variables['params']['head']}}
    return Inputs(head, features, lambda rows, key: rows, jax.jit(head.apply), own)


def batch_source(
    fed: Inputs, labels: Int[Array, ' cells'], groups: Int[Array, ' cells'] | None = None, mesh: Mesh | None = None
) -> BatchSource:
    """The cells as training's steps are given them: from the devices, or read from the disk ahead of each step."""
    if isinstance(fed.images, StreamedPictures):
        return StreamedCells(fed.images, labels, groups, mesh)
    return DeviceCells(*devices.on_each((fed.images, labels, groups), mesh))


def merge_trained(variables: Variables, trained: Variables) -> Variables:
    """All variables of a network after its inputs' variables were trained."""
    return {**variables, **trained, 'params': {**variables['params'], **trained['params']}}


def make_prepare(model: Model, augmentation: Augmentation) -> Prepare:
    """The function that augments and normalizes training cells in the step."""
    form = model.input

    def normalize(images: Shaped[Array, 'batch height width 3'], key: Key[Array, '']) -> Float[Array, 'batch ...']:
        return inference.prepared(images, form)

    def augment_and_normalize(
        images: Shaped[Array, 'batch height width 3'], key: Key[Array, '']
    ) -> Float[Array, 'batch ...']:
        place, light = jax.random.split(key)
        angle, sign = augment.draw(place, images.shape[0], degrees=augmentation.rotate, mirror=augmentation.mirror)
        image = augment.warp(images, angle, sign, form.size)
        if augmentation.light:
            image = augment.relight(image, light, augmentation.light)
        image = jitter.jittered(image, key, augmentation)
        return inference.to_input(image, form)

    return augment_and_normalize if augmentation.at_each_step else normalize
