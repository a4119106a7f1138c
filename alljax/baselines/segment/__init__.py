"""Where the nucleus and the cytoplasm of the central cell lie, by each of the published ways."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from alljax.baselines.segment import clusters, thresholds
from alljax.baselines.segment.central import Parts
from alljax.data.image import RgbImage

__all__ = ['SEGMENTS', 'Parts']

SEGMENTS: Mapping[str, Callable[[RgbImage], Parts]] = MappingProxyType(
    {
        'otsu': thresholds.otsu,
        'three_levels': thresholds.three_levels,
        'triangle_and_watershed': thresholds.triangle_and_watershed,
        'dual_threshold': thresholds.dual_threshold,
        'hsv_k_means': clusters.hsv_k_means,
        'lab_fuzzy': clusters.lab_fuzzy,
        'gray_k_means': clusters.gray_k_means,
        'gray_fuzzy': clusters.gray_fuzzy,
    }
)
