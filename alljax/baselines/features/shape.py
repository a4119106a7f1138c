"""The form of a nucleus and of its cell."""

import numpy as np
import skimage

from alljax.baselines.segment.central_cell import Mask, Parts
from alljax.data.image import RgbImage

OF_A_MASK = (
    'area', 'perimeter', 'circularity', 'eccentricity', 'elongation', 'solidity', 'extent', 'diameter', 'roughness',
)  # fmt: skip


def nucleus(image: RgbImage, parts: Parts) -> dict[str, float]:
    """The nucleus' form, and of how many lobes it is."""
    lobes = int(skimage.measure.label(parts.nucleus).max())
    return {**_form('nucleus', parts.nucleus), 'nucleus lobes': float(lobes)}


def cell(image: RgbImage, parts: Parts) -> dict[str, float]:
    """The cell's form, and how much of it is nucleus."""
    area = np.count_nonzero(parts.cell)
    return {**_form('cell', parts.cell), 'nucleus share': np.count_nonzero(parts.nucleus) / area if area else 0.0}


def _form(name: str, mask: Mask) -> dict[str, float]:
    """Lengths in pixels, areas in square pixels, the rest without unit; zeros for an empty mask.

    Circularity is 4 pi area / perimeter^2, elongation the minor over the major axis, roughness the convex hull's
    perimeter's share of the mask's own.
    """
    if not mask.any():
        return dict.fromkeys((f'{name} {kind}' for kind in OF_A_MASK), 0.0)
    one = skimage.measure.regionprops(mask.astype(np.uint8))[0]
    perimeter = max(one.perimeter, 1.0)
    hull = skimage.measure.perimeter(np.pad(one.image_convex, 1))
    major = max(one.axis_major_length, 1.0)
    values = (
        one.area, perimeter, 4 * np.pi * one.area / perimeter**2, one.eccentricity, one.axis_minor_length / major,
        one.solidity, one.extent, one.equivalent_diameter_area, hull / perimeter,
    )  # fmt: skip
    return {f'{name} {kind}': float(value) for kind, value in zip(OF_A_MASK, values, strict=True)}
