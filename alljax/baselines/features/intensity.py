"""Brightness and color of a nucleus and its cytoplasm."""

import numpy as np
import scipy
import skimage
from jaxtyping import Float

from alljax.baselines.segment.central_cell import Mask, Parts
from alljax.data.image import RgbImage

CHANNELS = ('red', 'green', 'blue', 'hue cos', 'hue sin', 'saturation', 'value', 'L*', 'a*', 'b*')
MOMENTS = ('mean', 'deviation', 'skewness', 'kurtosis', 'entropy', 'energy')
LEVELS = 32  # of a histogram from 0 to 1


def colors(image: RgbImage, parts: Parts) -> dict[str, float]:
    """Mean and standard deviation of RGB, HSV and L*a*b* in the nucleus and in the cytoplasm; zeros where it is empty.

    RGB, saturation and value are of 0 to 1, hue is a point on the unit circle, L*a*b* as by CIE.
    """
    hsv = skimage.color.rgb2hsv(image)
    angle = 2 * np.pi * hsv[..., :1]
    every = np.concatenate([image / 255, np.cos(angle), np.sin(angle), hsv[..., 1:], skimage.color.rgb2lab(image)], -1)
    found: dict[str, float] = {}
    for name, mask in (('nucleus', parts.nucleus), ('cytoplasm', parts.cytoplasm)):
        pixels = every[mask] if mask.any() else np.zeros((1, len(CHANNELS)))
        for channel, mean, deviation in zip(CHANNELS, pixels.mean(0), pixels.std(0), strict=True):
            found |= {f'{name} {channel} mean': float(mean), f'{name} {channel} deviation': float(deviation)}
    return found


def statistics(image: RgbImage, parts: Parts) -> dict[str, float]:
    """The first four moments, entropy and energy of the gray levels of nucleus and cytoplasm, and of each channel's."""
    red, green, blue = np.moveaxis(image / 255, -1, 0)
    layers = {'gray': skimage.color.rgb2gray(image), 'red': red, 'green': green, 'blue': blue}
    found: dict[str, float] = {}
    for name, mask in (('nucleus', parts.nucleus), ('cytoplasm', parts.cytoplasm)):
        for layer, values in layers.items():
            found |= _moments(f'{name} {layer}', values, mask)
    return found


def _moments(name: str, layer: Float[np.ndarray, 'height width'], mask: Mask) -> dict[str, float]:
    values = layer[mask]
    found = np.zeros(len(MOMENTS))
    if len(values):
        share = np.histogram(values, LEVELS, (0, 1))[0] / len(values)
        found[[0, 1, 4, 5]] = values.mean(), values.std(), scipy.stats.entropy(share, base=2), (share**2).sum()
        if np.ptp(values):  # of equal values there is no skewness
            found[2:4] = scipy.stats.skew(values), scipy.stats.kurtosis(values)
    return {f'{name} {kind}': float(value) for kind, value in zip(MOMENTS, found, strict=True)}
