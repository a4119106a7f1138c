"""Cells that were cut out of their picture: the black or white around them is no image, and no nucleus."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np
import scipy

from alljax.baselines.segment.central_cell import Mask, Parts, nothing
from alljax.data.image import RgbImage

BLACK, NEARLY_BLACK = 12, 40  # of 255, in the brightest channel: half of a cut-out, and all of it after JPEG
SHADES = 240  # to 254: levels that a photograph of too much light shades through to white, and a white cut-out lacks
LEAST_BLACK, LEAST_WHITE = 0.01, 0.1  # of the picture: a corner; more than a few letters
GLASS = (232, 214, 220)  # an empty slide
NOISE = 3  # of a camera, one standard deviation: a filter that flattens histograms would make a flat area its middle


def cut_away(image: RgbImage) -> Mask:
    """The pixels without an image: black or white regions that reach the border of the picture."""
    brightest, darkest = image.max(-1), image.min(-1)
    black = _at_the_border(brightest <= NEARLY_BLACK)
    if black.mean() < LEAST_BLACK or np.median(brightest[black]) > BLACK:
        black[:] = False
    white = _at_the_border(darkest == 255)
    if white.mean() < LEAST_WHITE or ((darkest >= SHADES) & (darkest < 255)).any():
        white[:] = False
    return black | white


def on_glass(image: RgbImage) -> tuple[RgbImage, Mask]:
    """The picture with an empty slide where its cell was cut out, and where that is; the same picture for others.

    So every threshold and cluster is that of a picture with a background, as their authors had.
    """
    blank = cut_away(image)
    if not blank.any():
        return image, blank
    noise = np.random.default_rng(0).normal(0, NOISE, (*blank.shape, 1))
    glass = np.clip(np.array(GLASS) + noise, 0, 255).astype(np.uint8)
    return np.where(blank[..., None], glass, image), blank


def without(parts: Parts, blank: Mask) -> Parts:
    """The parts but for the pixels without an image."""
    if not blank.any():
        return parts
    nucleus = parts.nucleus & ~blank
    return Parts(nucleus, parts.cytoplasm & ~blank) if nucleus.any() else nothing(nucleus.shape)


def of_cut_outs_too(segmentation: Callable[..., Parts]) -> Callable[..., Parts]:
    """The segmentation, made for pictures with a background, for cells that were cut out as well."""

    @wraps(segmentation)
    def segment(image: RgbImage, **options: Any) -> Parts:  # a version, or a file of weights
        picture, blank = on_glass(image)
        return nothing(blank.shape) if blank.all() else without(segmentation(picture, **options), blank)

    return segment


def _at_the_border(mask: Mask) -> Mask:
    """The connected regions of a mask that reach the border."""
    labels, _ = scipy.ndimage.label(mask, np.ones((3, 3)))
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    return np.isin(labels, np.setdiff1d(border, 0))
