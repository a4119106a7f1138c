"""What a network is trained and tested on: pictures, or features where all layers but the last are frozen."""

import logging
from collections.abc import Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped
from ml_collections import ConfigDict

from alljax import models
from alljax.data import augment
from alljax.data.cells import Cells
from alljax.models import Model, Variables
from alljax.storage import cache
from alljax.training import frozen_features, inference
from alljax.training.rate_factors import head_only
from alljax.training.step import Prepare

log = logging.getLogger(__name__)


class Feed(NamedTuple):
    """A network and what it is fed."""

    model: Model  # from what `prepare` gives to logits
    images: Shaped[Array, 'cells ...']  # on the device
    prepare: Prepare  # augments and normalizes rows of `images`, for training
    logits: inference.Logits  # jitted, from rows of `images`
    variables: Variables  # those that training starts from and may change


def feed(config: ConfigDict, model: Model, cells: Cells, variables: Variables, trained: Collection[str]) -> Feed:
    """Features if only the head is trained and every step would see the same pictures; else the pictures."""
    halves = cut(config, cells, trained)
    if halves and not turns(config):
        return of_head(halves[1], _features(config, halves[0], cells, variables), variables)
    if head_only(trained):
        log.info('only the head is trained, but its features are computed anew at each step, because %s',
                 'each step turns its cells anew; --config.augment.copies=published computes them once' if halves else
                 f'{model.name} is no linen module')  # fmt: skip
    return of_pictures(config, model, cells, variables)


def cut(config: ConfigDict, cells: Cells, trained: Collection[str]) -> tuple[Model, Model] | None:
    """The network as frozen body and trained head; None if more is trained, or where to cut it is unknown."""
    if not head_only(trained):
        return None
    return models.cut(config.model.name, len(cells.classes), **network_options(config))


def of_pictures(config: ConfigDict, model: Model, cells: Cells, variables: Variables) -> Feed:
    """A whole network, fed with the cells."""
    return Feed(model, jnp.asarray(cells.images), preparation(config, model), inference.make_logits(model), variables)


def of_head(head: Model, rows: Shaped[Array, 'cells ...'], variables: Variables) -> Feed:
    """A head, fed with the features that it was cut off from."""
    own = {'params': {'head': variables['params']['head']}}
    return Feed(head, rows, lambda rows, key: rows, jax.jit(head.apply), own)


def whole(variables: Variables, changed: Variables) -> Variables:
    """All variables of a network of which a feed's were changed."""
    return {**variables, **changed, 'params': {**variables['params'], **changed['params']}}


def turns(config: ConfigDict) -> bool:
    """Whether each step augments its cells anew."""
    how = config.augment
    return how.copies == 'fresh' and bool(how.rotate or how.mirror or how.light)


def network_options(config: ConfigDict) -> dict[str, Any]:
    """What the config says about the form of its network."""
    chosen = {name: config.model[name] for name in ('head', 'size', 'width', 'dropout')}
    if 'width' not in models.options(config.model.name) and chosen['width'] == 1:
        del chosen['width']  # a network of the user's own need not have it
    return {**chosen, 'color': config.data.color}


def preparation(config: ConfigDict, model: Model) -> Prepare:
    """Augmentation and normalization of training cells, for the step."""
    form, how = model.input, config.augment

    def still(images: Array, key: Array) -> Array:
        return inference.prepared(images, form)

    def prepare(images: Array, key: Array) -> Array:
        place, light = jax.random.split(key)
        angle, sign = augment.draw(place, images.shape[0], degrees=how.rotate, mirror=how.mirror)
        image = augment.warp(images, angle, sign, form.size)
        if how.light:
            image = augment.relight(image, light, how.light)
        return inference.to_input(image, form)

    return prepare if turns(config) else still


def _features(config: ConfigDict, body: Model, cells: Cells, variables: Variables) -> Shaped[Array, 'cells ...']:
    options = {name: value for name, value in network_options(config).items() if name not in ('head', 'dropout')}
    about = {**options, 'averaged': bool(config.model.head)}
    return jnp.asarray(
        frozen_features.features(body, variables, about, cells.images, config.batch_size, cache.folder('features'))
    )
