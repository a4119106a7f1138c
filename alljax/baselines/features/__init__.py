"""What is measured on a segmented cell: names and numbers, the same names for every cell."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType

from alljax.baselines.features import intensity, shape, texture
from alljax.baselines.segment import Parts
from alljax.data.image import RgbImage

__all__ = ['FEATURES', 'NETWORK', 'described']

FEATURES: Mapping[str, Callable[[RgbImage, Parts], dict[str, float]]] = MappingProxyType(
    {
        'nucleus_shape': shape.nucleus,
        'cell_shape': shape.cell,
        'color': intensity.colors,
        'statistics': intensity.statistics,
        'glcm': texture.glcm,
    }
)
NETWORK = 'network'  # what the layers of a pretrained network say; not of a segmented cell, so not among FEATURES


def described(image: RgbImage, parts: Parts, names: Iterable[str]) -> dict[str, float]:
    """All features of the named kinds, and whether a cell was found at all: without one the others are zero.

    So a classifier learns what it means that nothing was found, and no cell is dropped.
    """
    found = {'found': float(parts.found)}
    for name in names:
        if name != NETWORK:
            found |= FEATURES[name](image, parts)
    return found
