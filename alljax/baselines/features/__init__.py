"""Measurements of a segmented cell by name: each gives names and numbers, the same names for every cell."""

from collections.abc import Callable, Iterable

from alljax.baselines.features import intensity, shape, texture
from alljax.baselines.segment import Parts
from alljax.data.image import RgbImage

__all__ = ['FEATURES', 'NETWORK', 'Measurement', 'measure']

Measurement = Callable[[RgbImage, Parts], dict[str, float]]

FEATURES: dict[str, Measurement] = {
    'nucleus_shape': shape.nucleus,
    'cell_shape': shape.cell,
    'color': intensity.colors,
    'statistics': intensity.statistics,
    'glcm': texture.glcm,
}
NETWORK = 'network'  # the output of a pretrained network's layers; not of a segmented cell, so not among FEATURES


def measure(image: RgbImage, parts: Parts, measurements: Iterable[Measurement]) -> dict[str, float]:
    """The features of all the measurements, and `found`, 1 or 0: without a cell the others are zero.

    So a classifier learns what it means that nothing was found, and no cell is dropped.
    """
    found = {'found': float(parts.found)}
    for measurement in measurements:
        found |= measurement(image, parts)
    return found
