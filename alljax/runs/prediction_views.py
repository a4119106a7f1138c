"""A prediction averaged over several pictures of each cell: turns, mirror images and jittered copies.

The only place where this is done, for a run's own test, an external one and `alljax predict` alike, by the card alone.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from alljax.baselines.segment import cut_out
from alljax.data import augment, jitter
from alljax.data.augment import Augmentation
from alljax.storage.card import Card
from alljax.storage.prediction_views_record import PredictionViews
from alljax.storage.streamed_pictures import Chunks, Pictures, StreamedPictures

Images = UInt8[np.ndarray, 'cells height width 3']
Predict = Callable[[Pictures, int], Float[np.ndarray, 'cells classes']]  # images and a batch size to probabilities

PLACES = {1: (0,), 2: (0, 4), 4: (0, 1, 2, 3), 8: tuple(range(8))}  # turns asked for → which of the eight they are
COPY = 2**31 - 2  # folded into the seed's key: no step's
LIGHT = 1  # folded into a copy's key; alljax.data.jitter has the numbers after it
CHUNK = 8  # pictures jittered at a time, whatever the batch, so that one program serves a cell alone and in a set
TINY = np.finfo(np.float64).tiny  # probability that stands for 0 in a logarithm


def averaged(predict: Predict, card: Card) -> Predict:
    """The prediction of a model as its card asks for it: the mean of the probabilities of all views of each picture.

    The picture and each of its jittered copies are asked about in all turns. The very same function if the card names
    no views. A picture's answer depends on the picture and the run's seed, not on the pictures beside it.
    """
    views, seed = card.views, card.seed or 0
    if views is None:
        return predict

    def mean(images: Pictures, batch_size: int) -> Float[np.ndarray, 'cells classes']:
        if isinstance(images, StreamedPictures):
            parts = images.batches(Chunks(len(images), batch_size))
            return np.concatenate([of_some(part, batch_size) for part in parts])
        return of_some(images, batch_size)

    def of_some(images: Images, batch_size: int) -> Float[np.ndarray, 'cells classes']:
        total: Any = 0.0
        for number in range(views.copies + 1):
            pictures = jittered(images, views, seed, number) if number else images
            if number and card.system is not None:
                pictures = _cut_out_again(pictures, images)
            for place in PLACES[views.turns]:
                total = total + predict(turned(pictures, place), batch_size)
        return total / views.pictures

    return mean


def about(card: Card) -> dict[str, dict[str, int]]:
    """The `prediction` part of results.json; nothing if each picture is asked about as it is."""
    return {'prediction': {'turns': card.views.turns, 'copies': card.views.copies}} if card.views else {}


def logarithms(probabilities: Float[np.ndarray, 'cells classes']) -> Float[np.ndarray, 'cells classes']:
    """Logits of which the softmax gives these probabilities; they are finite for 0 too."""
    return np.log(np.maximum(probabilities, TINY))


def turned(images: Images, place: int) -> Images:
    """The pictures, square ones, in one of eight positions: `place` % 4 quarter turns, mirrored first from 4 on."""
    mirrored = images[:, :, ::-1] if place >= 4 else images
    return np.ascontiguousarray(np.rot90(mirrored, place % 4, axes=(1, 2)))


def jittered(images: Images, views: PredictionViews, seed: int, number: int) -> Images:
    """A jittered copy of each picture, drawn by the seed and the copy's number, which is alike for all pictures."""
    changes = Augmentation(
        rotate=0.0, mirror=False, light=views.light, stain=views.stain, blur=views.blur, noise=views.noise,
        jpeg=views.jpeg, gray=views.gray,
    )  # fmt: skip
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), COPY), number)
    found = np.empty_like(images)
    for start in range(0, len(images), CHUNK):
        rows = np.resize(np.arange(start, min(start + CHUNK, len(images))), CHUNK)
        found[start : start + CHUNK] = np.asarray(jitter_alike(jnp.asarray(images[rows]), key, changes))[
            : len(images) - start
        ]
    return found


@partial(jax.jit, static_argnums=2)
def jitter_alike(
    images: UInt8[Array, 'cells height width 3'], key: Key[Array, ''], changes: Augmentation
) -> UInt8[Array, 'cells height width 3']:
    """The pictures after the same draw of light and jitter, as bytes again."""

    def one(image: Array) -> Array:
        picture = image[None].astype(jnp.float32)
        if changes.light:
            picture = augment.relight(picture, jax.random.fold_in(key, LIGHT), changes.light)
        return jitter.jittered(picture, key, changes)[0]

    return jnp.clip(jnp.round(jax.vmap(one)(images)), 0, 255).astype(jnp.uint8)


def _cut_out_again(copies: Images, images: Images) -> Images:
    """Copies with the black or white around a cut-out cell as it was: that is no picture to a classical system."""
    blank = np.stack([cut_out.cut_away(image) for image in images])
    return np.where(blank[..., None], images, copies)
