"""Texture: which gray levels lie beside which (Haralick et al. 1973)."""

import numpy as np
import skimage
from jaxtyping import Float, UInt8

from alljax.baselines.segment.central_cell import Mask, Parts
from alljax.data.image import RgbImage

LEVELS = 32  # gray levels that are told apart
ANGLES = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
PROPERTIES = ('contrast', 'dissimilarity', 'homogeneity', 'energy', 'correlation', 'entropy')


def glcm(image: RgbImage, parts: Parts) -> dict[str, float]:
    """Six properties of the co-occurrence of gray levels in the nucleus and in the cytoplasm, means of four directions.

    Zeros where there are no two pixels side by side.
    """
    gray = np.minimum(skimage.color.rgb2gray(image) * LEVELS, LEVELS - 1).astype(np.uint8)
    found = {}
    for name, mask in (('nucleus', parts.nucleus), ('cytoplasm', parts.cytoplasm)):
        for kind, value in zip(PROPERTIES, properties(gray, mask), strict=True):
            found[f'{name} {kind}'] = float(value)
    return found


def properties(gray: UInt8[np.ndarray, 'height width'], mask: Mask) -> Float[np.ndarray, ' properties']:
    """PROPERTIES of the pixels of a mask whose neighbor lies in it too; gray levels are 0 to LEVELS - 1."""
    places = np.nonzero(mask)
    if not len(places[0]):
        return np.zeros(len(PROPERTIES))
    box = tuple(slice(place.min(), place.max() + 1) for place in places)
    marked = np.where(mask[box], gray[box] + 1, 0).astype(np.uint8)  # level 0 is outside, and dropped below
    counts = skimage.feature.graycomatrix(marked, [1], ANGLES, levels=LEVELS + 1, symmetric=True)[1:, 1:].astype(float)
    if not counts.any():
        return np.zeros(len(PROPERTIES))
    return np.array([skimage.feature.graycoprops(counts, kind).mean() for kind in PROPERTIES])
