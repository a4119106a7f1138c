"""Nuclei of white cells among all that takes their stain: one each, of however many lobes, of touching cells too."""

from typing import Any

import numpy as np
import scipy
import skimage
from jaxtyping import Bool, Float, Int

# all areas are in squares of a white cell's diameter, all lengths in its diameter
SMALLEST_LOBE = 0.015  # less is a granule or a speck
SMALLEST, LARGEST = 0.045, 2.5  # of a nucleus: less is a speck, more is spilled stain
NECK = 0.06  # depth of a waist at which a watershed cuts
APART = 0.35  # between the lobes of one nucleus
LOBED, WIDE = 0.65, 1.05  # area and width of a nucleus of several lobes: more is two cells
ROUND = 0.9  # solidity of a nucleus that was cut in two without need
ABOUT, WIDEST, STAINED = 0.15, 1.35, 0.8  # the lobes that lie about the middle of a large cell: see joined
RIM = 5  # pixels about a part that its blurred depth is told by

Mask = Bool[np.ndarray, 'height width']
Labels = Int[np.ndarray, 'height width']
Outline = Float[np.ndarray, 'points 2']


def lobes(nuclear: Mask, diameter: float) -> Labels:
    """The parts of a mask of nuclei, cut at their waists by a watershed of the distance to the border."""
    kept = skimage.morphology.remove_small_objects(nuclear, max_size=int(SMALLEST_LOBE * diameter**2))
    kept = skimage.morphology.remove_small_holes(kept, max_size=int(SMALLEST_LOBE * diameter**2))
    components = skimage.measure.label(kept)
    parts = np.zeros(kept.shape, int)
    for region in skimage.measure.regionprops(components):
        about = _about(region.bbox)
        alone = components[about] == region.label
        cut = _cut(alone, NECK * diameter)
        parts[about][alone] = cut[alone] + parts.max()
    return parts


def _about(box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    """The place of a bounding box and what a blur of it reaches."""
    top, left, bottom, right = box
    return slice(max(0, top - RIM), bottom + RIM), slice(max(0, left - RIM), right + RIM)


def _cut(alone: Mask, neck: float) -> Labels:
    depth = scipy.ndimage.gaussian_filter(scipy.ndimage.distance_transform_edt(alone), 1.0)
    peaks = skimage.measure.label(skimage.morphology.h_maxima(depth, neck))
    return skimage.segmentation.watershed(-depth, np.where(alone, peaks, 0), mask=alone)


def joined(parts: Labels, stained: Mask, diameter: float) -> Labels:
    """The parts with one number for all lobes of a nucleus; what is too small or too large for one is left out.

    Two parts are joined, the nearest first, if together they are one nucleus by area and width, or lie against each
    other as a round whole, or lie about the middle of one large cell: what is between them is cytoplasm, `stained`,
    and more than the gap between two cells side by side.
    """
    regions = skimage.measure.regionprops(parts)
    if not regions:
        return parts
    outlines = {r.label: _outline(r) for r in regions}
    areas = {r.label: float(r.area) for r in regions}
    name = {label: label for label in outlines}
    for gap, a, b in _near(outlines, [r.centroid for r in regions], diameter):
        one, other = sorted((name[a], name[b]))
        both = np.concatenate([outlines[one], outlines[other]])
        area = areas[one] + areas[other]
        if one != other and _is_one_nucleus(both, area, gap, stained, diameter):
            name = {label: one if now == other else now for label, now in name.items()}
            outlines[one], areas[one] = both, area
    table = np.zeros(parts.max() + 1, int)
    for label, final in name.items():
        table[label] = final if SMALLEST <= areas[final] / diameter**2 <= LARGEST else 0
    return table[parts]


def _is_one_nucleus(both: Outline, area: float, gap: float, stained: Mask, diameter: float) -> bool:
    hull = scipy.spatial.ConvexHull(both)
    corners = both[hull.vertices]
    width = float(scipy.spatial.distance.pdist(corners).max()) / diameter
    if (area / diameter**2 < LOBED and width < WIDE) or (gap < 2 and area > ROUND * float(hull.volume)):
        return True
    if width > WIDEST or (hull.volume - area) / diameter**2 < ABOUT:
        return False
    top, left = corners.min(0).astype(int)
    bottom, right = np.ceil(corners.max(0)).astype(int)
    inside = skimage.draw.polygon2mask((bottom - top, right - left), corners - (top, left) - 0.5)
    part = stained[top:bottom, left:right] & inside
    stained_between, between = np.count_nonzero(part) - area, np.count_nonzero(inside) - area
    return bool(stained_between > STAINED * between)


def _near(
    outlines: dict[int, Outline], centers: list[tuple[float, float]], diameter: float
) -> list[tuple[float, int, int]]:
    """The gaps between parts that may be lobes of one nucleus, with the two parts, from the least."""
    labels = list(outlines)
    pairs = scipy.spatial.cKDTree(np.array(centers)).query_pairs(WIDEST * diameter)
    gaps = []
    for first, second in pairs:
        a, b = labels[first], labels[second]
        gap = float(scipy.spatial.cKDTree(outlines[a]).query(outlines[b])[0].min())
        if gap <= APART * diameter:
            gaps.append((gap, a, b))
    return sorted(gaps)


def _outline(region: Any) -> Outline:
    """The corners of the pixels on a region's rim, as rows and columns."""
    rim = region.image & ~scipy.ndimage.binary_erosion(region.image)
    points = np.argwhere(rim) + np.array(region.bbox[:2])
    return np.concatenate([points + corner for corner in ((0, 0), (0, 1), (1, 0), (1, 1))]).astype(float)
