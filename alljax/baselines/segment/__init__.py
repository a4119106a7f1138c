"""Segmentations by name: each finds the nucleus and the cytoplasm of the central cell by a published way."""

from collections.abc import Callable

from alljax.baselines.segment import clusters, thresholds, unet
from alljax.baselines.segment.central_cell import Parts

__all__ = ['SEGMENTS', 'Parts', 'Segmentation']

Segmentation = Callable[..., Parts]  # of an RgbImage, and, those of this package, of `version`; some of `weights`

SEGMENTS: dict[str, Segmentation] = {
    'otsu': thresholds.otsu,
    'three_levels': thresholds.three_levels,
    'triangle_and_watershed': thresholds.triangle_and_watershed,
    'dual_threshold': thresholds.dual_threshold,
    'hsv_k_means': clusters.hsv_k_means,
    'lab_fuzzy': clusters.lab_fuzzy,
    'gray_k_means': clusters.gray_k_means,
    'gray_fuzzy': clusters.gray_fuzzy,
    'unet': unet.unet,
}
