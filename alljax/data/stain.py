"""Light and stain of pictures brought to those of the training cells: on the host, once, before a model sees them.

White balance takes a picture's own background. Macenko's and Reinhard's ways bring it to a target: the median training
cell, as eight or six numbers that a model keeps.
"""

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import skimage
from jaxtyping import Float, UInt8

from alljax.data.image import RgbImage

Images = UInt8[np.ndarray, 'cells height width 3']
Target = tuple[float, ...]

PERCENTILE, WHITE = 90, 225.0  # of each channel, and what it becomes: a tenth of most crops of a cell is background
LIGHT = 240.0  # of 255: where there is no stain [Macenko]
LEAST_DENSITY = 0.15  # e-foldings of light lost in each channel: less is background [Macenko]
ANGLES = (1, 99)  # percentiles of the angles at which the two stains are [Macenko]
MOST = 99  # percentile of a stain's amount that counts as its largest
LEAST_PIXELS = 20  # of stain: fewer tell no two stains
LEAST_DETERMINANT = 1e-3  # of the two stains' scalar products, 0 for parallel ones: with less there is one stain only
# hematoxylin and eosin as the authors' code has them: for training cells of which none shows two stains
MACENKO: Target = (0.5626, 0.7201, 0.4062, 0.2159, 0.8012, 0.5581, 1.9705, 1.0308)
LEAST_SPREAD = 1e-6  # of a channel in L*a*b*: less is constant


class Stains(NamedTuple):
    """The two stains of a picture."""

    densities: Float[np.ndarray, '2 3']  # of red, green and blue, unit length; the one that takes more red first
    most: Float[np.ndarray, '2']  # the largest amount of each


def target(images: Images, how: str) -> Target:
    """The median of what `how`, one of `NAMES`, measures in each training cell; () where it needs no target.

    Macenko: 3 and 3 densities of the stains, and 2 amounts. Reinhard: 3 means of L*, a* and b*, and 3 deviations.
    """
    if how == 'macenko':
        found = [stains for stains in _each(images, macenko_stains) if stains]
        if not found:
            return MACENKO
        densities = np.median([stains.densities for stains in found], axis=0)
        densities /= np.linalg.norm(densities, axis=1, keepdims=True)
        return (*densities.ravel().tolist(), *np.median([stains.most for stains in found], axis=0).tolist())
    if how == 'reinhard':
        return tuple(np.median(_each(images, lambda image: np.concatenate(_lab_statistics(image))), axis=0).tolist())
    return ()


def normalized(images: Images, how: str, wanted: Target = ()) -> Images:
    """The pictures in the light and stain of `how`, one of `NAMES`, and of its `target`; 'none' returns the very same.

    A picture that does not show what `how` needs stays as it is: one without two stains (Macenko), a black channel
    (white balance). Raises ValueError for another name.
    """
    if how not in NAMES:
        raise ValueError(f'no stain normalization is named {how!r}; there are {", ".join(NAMES)}')
    if how == 'none':
        return images
    change = NORMALIZATIONS[how]
    return np.stack(_each(images, lambda image: change(image, wanted))) if len(images) else images


def white_balance(image: RgbImage, wanted: Target = ()) -> RgbImage:
    """The picture with each channel scaled so that its 90th percentile is 225; a channel in which that is 0 stays."""
    level = np.percentile(image, PERCENTILE, axis=(0, 1))
    return _bytes(image * np.divide(WHITE, level, out=np.ones(3), where=level > 0))


def macenko(image: RgbImage, wanted: Target) -> RgbImage:
    """The picture with its two stains, and their largest amounts, exchanged for those of the target.

    Source: Macenko et al. 2009, A method for normalizing histology slides for quantitative analysis.
    """
    found = macenko_stains(image)
    if found is None:
        return image
    amounts = _amounts(_density(image), found.densities) * (np.array(wanted[6:]) / found.most)
    return _bytes(LIGHT * np.exp(-amounts @ np.reshape(wanted[:6], (2, 3)))).reshape(image.shape)


def macenko_stains(image: RgbImage) -> Stains | None:
    """The stains of a picture: the outermost directions of its optical densities; None if it does not show two."""
    density = _density(image)
    stained = density[(density >= LEAST_DENSITY).all(1)]
    if len(stained) < LEAST_PIXELS:
        return None
    plane = np.linalg.eigh(np.cov(stained.T))[1][:, 1:]
    plane *= np.where(plane.sum(0) < 0, -1, 1)  # an eigenvector may point either way
    second, first = (stained @ plane).T
    angles = np.percentile(np.arctan2(second, first), ANGLES)
    densities = np.stack([np.sin(angles), np.cos(angles)], -1) @ plane.T
    densities = densities[np.argsort(-densities[:, 0], kind='stable')]
    if np.linalg.det(densities @ densities.T) < LEAST_DETERMINANT:
        return None
    most = np.percentile(_amounts(density, densities), MOST, axis=0)
    return Stains(densities, most) if (most > 0).all() else None


def reinhard(image: RgbImage, wanted: Target) -> RgbImage:
    """The picture with the target's mean and standard deviation of L*, a* and b*; a constant channel becomes the mean.

    Source: Reinhard et al. 2001, Color transfer between images, in CIE L*a*b* as is usual for stains.
    """
    mean, deviation = _lab_statistics(image)
    gain = np.divide(wanted[3:], deviation, out=np.zeros(3), where=deviation > LEAST_SPREAD)
    return _bytes(255 * skimage.color.lab2rgb((skimage.color.rgb2lab(image) - mean) * gain + np.array(wanted[:3])))


def _density(image: RgbImage) -> Float[np.ndarray, 'pixels 3']:
    """The optical density in e-foldings; 1 is added, as the authors do, since the logarithm of 0 is none."""
    return -np.log((image.reshape(-1, 3) + 1.0) / LIGHT)


def _amounts(density: Float[np.ndarray, 'pixels 3'], stains: Float[np.ndarray, '2 3']) -> np.ndarray:
    """The amount of each stain in each pixel, by least squares."""
    return density @ np.linalg.pinv(stains)


def _lab_statistics(image: RgbImage) -> tuple[np.ndarray, np.ndarray]:
    """The means and the standard deviations of L*, a* and b*."""
    lab = skimage.color.rgb2lab(image)
    return lab.mean((0, 1)), lab.std((0, 1))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _each(images: Images, work: Callable[[RgbImage], object]) -> list:
    with warnings.catch_warnings(), ThreadPoolExecutor() as threads:
        warnings.filterwarnings('ignore', message='Conversion from CIE-LAB')  # of a color that no screen has: it is cut
        return list(threads.map(work, images))


NORMALIZATIONS: dict[str, Callable[[RgbImage, Target], RgbImage]] = {
    'white_balance': white_balance,
    'macenko': macenko,
    'reinhard': reinhard,
}
NAMES = ('none', *NORMALIZATIONS)
TARGET_NUMBERS = {'none': 0, 'white_balance': 0, 'macenko': len(MACENKO), 'reinhard': 6}
