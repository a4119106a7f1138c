"""Jitter of training cells on the device: another stain, focus, sensor, file or camera without color, drawn anew."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from alljax.data import color, jpeg
from alljax.data.augment import Augmentation

# Optical density in red, green and blue (rows: hematoxylin, eosin, DAB); Ruifrok & Johnston 2001
RGB_FROM_HED = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
HED_FROM_RGB = np.linalg.inv(RGB_FROM_HED)
DARKEST = 1.0  # of 255: what is darker has this optical density, for black would have none that is finite
REACH = 3  # standard deviations to which a blur is computed

# What each draw folds into the step's key, so that none changes with another; 0 and 1 are those of turn and light.
STAIN, BLUR, NOISE, JPEG, GRAY = range(2, 7)

Images = Float[Array, 'cells height width 3']


def jittered(images: Images, key: Key[Array, ''], augmentation: Augmentation) -> Images:
    """The images, values 0 to 255, with what the augmentation asks for: in the order in which a picture comes about.

    Without any of these the very same array.
    """
    for number, strength, change in (
        (STAIN, augmentation.stain, stain),
        (BLUR, augmentation.blur, blur),
        (NOISE, augmentation.noise, noise),
        (JPEG, augmentation.jpeg, compress),
        (GRAY, augmentation.gray, gray),
    ):
        if strength:
            images = change(images, jax.random.fold_in(key, number), strength)
    return images


def stain(images: Images, key: Key[Array, ''], strength: float) -> Images:
    """The images with hematoxylin, eosin and DAB each in another amount: times a log-normal gain, plus a normal shift.

    `strength` is the standard deviation of the gain's logarithm and of the shift, which is in e-foldings of light.
    Source: Tellez et al. 2018, Whole-slide mitosis detection.
    """
    gain, shift = strength * jax.random.normal(key, (2, len(images), 3))
    return restained(images, jnp.exp(gain), shift)


def restained(images: Images, gain: Float[Array, 'cells 3'], shift: Float[Array, 'cells 3']) -> Images:
    """The images with each stain's optical density times `gain`, plus `shift`.

    scikit-image's rgb2hed and hed2rgb, but for its negative densities, which stay: so that a gain of 1 and a shift of 0
    leave every color as it is.
    """
    # from log RGB to log RGB: one matrix a cell
    matrix = jnp.einsum('ij,cj,jk->cik', HED_FROM_RGB, gain, RGB_FROM_HED, precision='highest')
    offset = jnp.einsum('cj,jk->ck', shift, RGB_FROM_HED, precision='highest')
    light = jnp.log(jnp.maximum(images, DARKEST) / 255)
    mixed = sum(light[..., i, None] * matrix[:, None, None, i] for i in range(3))
    return jnp.clip(255 * jnp.exp(mixed - offset[:, None, None]), 0, 255)


def blur(images: Images, key: Key[Array, ''], strongest: float) -> Images:
    """The images out of focus, each by a Gaussian of a standard deviation up to `strongest` pixels."""
    deviation = jax.random.uniform(key, (len(images),), maxval=strongest)
    return blurred(images, deviation, math.ceil(REACH * strongest))


def blurred(images: Images, deviation: Float[Array, ' cells'], radius: int) -> Images:
    """The images after a Gaussian of each one's deviation, cut off at `radius` pixels; the border is a mirror."""
    offset = jnp.arange(-radius, radius + 1)
    weights = jnp.exp(-0.5 * (offset / jnp.maximum(deviation, 0.01)[:, None]) ** 2)
    weights = (weights / weights.sum(1, keepdims=True))[..., None, None, None]
    for axis in (1, 2):
        pad = [(radius, radius) if place == axis else (0, 0) for place in range(4)]
        padded, length = jnp.pad(images, pad, mode='symmetric'), images.shape[axis]
        shifted = [jax.lax.slice_in_dim(padded, k, k + length, axis=axis) for k in range(2 * radius + 1)]
        images = functools.reduce(jnp.add, [weights[:, k] * image for k, image in enumerate(shifted)])
    return images


def noise(images: Images, key: Key[Array, ''], strongest: float) -> Images:
    """The images with a sensor's noise, normal and independent in each value, each image's up to `strongest` of 255."""
    amount, values = jax.random.split(key)
    deviation = jax.random.uniform(amount, (len(images), 1, 1, 1), maxval=strongest)
    return jnp.clip(images + deviation * jax.random.normal(values, images.shape), 0, 255)


def compress(images: Images, key: Key[Array, ''], lowest: float | int) -> Images:
    """The images as JPEG files of a quality between `lowest` and 100 give them back."""
    return jpeg.compressed(images, jnp.round(jax.random.uniform(key, (len(images),), minval=lowest, maxval=100.0)))


def gray(images: Images, key: Key[Array, ''], probability: float) -> Images:
    """The images, some of them, with this probability, without color."""
    chosen = jax.random.bernoulli(key, probability, (len(images), 1, 1, 1))
    return jnp.where(chosen, color.convert(images, 'gray'), images)
