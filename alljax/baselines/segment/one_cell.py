"""The one cell that a crop is about, as of version 2: the lobes of its nucleus, and what is not of its neighbors.

Lengths are relative to the picture, the nucleus or the neighbor, so that no magnification is assumed. The numbers were
chosen on drawn cells and on half of two sets of real ones (tests/benchmarks/RESULTS.md).
"""

from typing import NamedTuple

import numpy as np
import scipy
import skimage
from jaxtyping import Bool, Float, Int

from alljax.data.image import RgbImage

Mask = Bool[np.ndarray, 'height width']
Plane = Float[np.ndarray, 'height width']

SMALLEST = 0.002  # of the picture's area: less is a platelet, a vacuole or noise
FARTHEST = 0.32  # of the shorter side: an object whose nearest pixel is farther from the middle is another cell
LOBE = 0.04  # of the nucleus' area: less is a granule
LARGEST = 1.5  # of what was found so far: a larger object is another nucleus
DARK = 0.8  # of the optical density of the nucleus: paler objects are no lobes of it
GAP = 0.4  # of the diameter of a disk as large as the smaller of two: what lies farther apart are no lobes of one
NECK = 0.8  # of the radius of what lies behind: where two objects touch along less, they are two
COLOR = 0.15  # radians between optical densities: what differs more from the cytoplasm is a red cell
PEAK = 0.2  # of the greatest depth: peaks that are nearer to each other are one
SMOOTH = 0.2  # of the cell's radius: bays of its border that are narrower than twice this are closed
LIGHT = 95  # percentile of a channel that is taken for its light
BLURRED = 4  # pixels that a blur of one reaches
FEWEST = 10  # pixels whose mean color says something


class Neighbor(NamedTuple):
    """A region that touches the cell."""

    number: int
    neck: float  # half the width of the contact, in pixels
    radius: float  # of the region, in pixels


class Cytoplasm(NamedTuple):
    """The optical densities of a picture, and where no nucleus is."""

    densities: Float[np.ndarray, 'height width 3']
    where: Mask


def lobes(mask: Mask, image: RgbImage | None = None) -> Mask:
    """The objects of a mask that are the lobes of one nucleus: the one in the middle, and those near to it.

    The middle one is the largest for its distance from the middle; in an image the others are as dark as it is. Empty
    if all are too small or too far away.
    """
    labels = skimage.measure.label(mask, connectivity=1)
    found = _in_the_middle(labels)
    if not found.any():
        return found
    numbers, areas = np.unique(labels[labels > 0], return_counts=True)
    depth = np.ones(mask.shape) if image is None else _densities(image).sum(-1)
    objects = labels > 0
    dark = np.atleast_1d(scipy.ndimage.mean(depth[objects], labels[objects], numbers)) >= DARK * depth[found].mean()
    while True:
        total = np.count_nonzero(found)
        reach = GAP * 2 * np.sqrt(np.minimum(total, areas) / np.pi)
        near = window(found, reach.max())
        apart = _nearest(scipy.ndimage.distance_transform_edt(~found[near]), labels[near], numbers)
        taken = dark & (apart > 0) & (apart <= reach) & (areas >= LOBE * total) & (areas <= LARGEST * total)
        if not taken.any():
            return found
        found |= labels == numbers[taken][apart[taken].argmin()]


def lobes_in_the_middle(mask: Mask, image: RgbImage) -> Mask:
    """The lobes of a mask in which cells may touch: the one in the middle is first cut from neighbors along necks."""
    labels = skimage.measure.label(mask, connectivity=1)
    found = _in_the_middle(labels)
    if not found.any():
        return found
    depth = _depth(found)
    regions = _regions(depth, found, np.zeros_like(found))
    own = _grown(_in_the_middle(regions), regions, depth)
    return lobes(own | (mask & ~found), image)


def around_nucleus(nucleus: Mask, mask: Mask, near: Mask, image: RgbImage) -> Mask:
    """The cell of this nucleus in a mask of what is stained, as far as it may reach; its border is smooth.

    Neighbors are cut off: what touches along a neck, or has another color than the cytoplasm.
    """
    depth = _depth(mask)
    regions = _regions(depth, mask, hull(nucleus) & mask)
    cell = _grown(regions == 1, regions, depth, Cytoplasm(_densities(image), ~nucleus)) & near | nucleus
    cell = scipy.ndimage.binary_fill_holes(scipy.ndimage.binary_opening(cell, np.ones((3, 3))) | nucleus)
    labels = skimage.measure.label(cell)
    cell = np.isin(labels, np.unique(labels[nucleus]))
    return scipy.ndimage.binary_fill_holes(_closed(cell, SMOOTH * np.sqrt(np.count_nonzero(cell) / np.pi)))


def hull(mask: Mask) -> Mask:
    """The convex hull of a mask; the mask itself where it is too thin to have one."""
    if min(np.ptp(places) for places in np.nonzero(mask)) < 2:
        return mask
    filled, within = mask.copy(), window(mask)
    filled[within] |= skimage.morphology.convex_hull_image(mask[within])
    return filled


def window(mask: Mask, margin: float = 0.0) -> tuple[slice, slice]:
    """The rows and columns of a mask with `margin` pixels around, as far as the picture goes; none of an empty mask.

    What is computed of the pixels in it takes a fraction of the time of the whole picture.
    """
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0, 0), slice(0, 0)
    more = int(np.ceil(margin))
    first, last = (rows[0], columns[0]), (rows[-1], columns[-1])
    top, left = (max(0, int(place) - more) for place in first)
    bottom, right = (int(place) + more + 1 for place in last)
    return slice(top, bottom), slice(left, right)


def _in_the_middle(labels: Int[np.ndarray, 'height width']) -> Mask:
    """The labelled object that is largest for its distance from the middle, if any is large and near enough."""
    numbers, areas = np.unique(labels[labels > 0], return_counts=True)
    if not len(numbers):
        return np.zeros(labels.shape, bool)
    y, x = np.ogrid[: labels.shape[0], : labels.shape[1]]
    away = np.hypot(y - (labels.shape[0] - 1) / 2, x - (labels.shape[1] - 1) / 2)
    nearest = _nearest(away, labels, numbers)
    taken = (areas >= SMALLEST * labels.size) & (nearest <= FARTHEST * min(labels.shape))
    rank = np.where(taken, np.sqrt(areas) - nearest, -np.inf)
    return (labels == numbers[rank.argmax()]) & taken.any()


def _nearest(
    distance: Plane, labels: Int[np.ndarray, 'height width'], numbers: Int[np.ndarray, ' objects']
) -> Float[np.ndarray, ' objects']:
    """The least distance in each object of these numbers; 0 for one of which there is no pixel."""
    objects = labels > 0  # sorted by number: the fewer pixels, the faster
    return np.atleast_1d(scipy.ndimage.minimum(distance[objects], labels[objects], numbers))


def _depth(mask: Mask) -> Plane:
    """The distance to the border of a mask, without the steps of single pixels."""
    depth, within = np.zeros(mask.shape), window(mask, 1.0 + BLURRED)
    if mask.any():
        depth[within] = scipy.ndimage.gaussian_filter(
            scipy.ndimage.distance_transform_edt(mask[within]), 1, radius=BLURRED
        )
    return depth


def _regions(depth: Plane, mask: Mask, core: Mask) -> Int[np.ndarray, 'height width']:
    """The watershed of the depth: 1 around the core, if there is one, and a region around every other peak."""
    least = max(3, round(PEAK * float(depth.max())))
    peaks = skimage.feature.peak_local_max(depth, min_distance=least, labels=mask.astype(int), exclude_border=False)
    markers = core.astype(int)
    near = scipy.ndimage.binary_dilation(core)
    for number, place in enumerate((tuple(peak) for peak in peaks if not near[tuple(peak)]), start=2):
        markers[place] = number
    return skimage.segmentation.watershed(-depth, markers, mask=mask)


def _grown(
    inside: Mask,
    regions: Int[np.ndarray, 'height width'],
    depth: Plane,
    colors: Cytoplasm | None = None,
) -> Mask:
    """The inside with every region that it shares more than a neck with, and whose color is that of its cytoplasm."""
    own = None if colors is None else _direction(colors, inside)
    while True:
        joined = [region.number for region in _neighbors(regions, inside, depth) if region.neck >= NECK * region.radius]
        if colors is not None and own is not None:
            found = [_direction(colors, regions == number) for number in joined]
            like = [other is None or np.arccos(min(other @ own, 1)) <= COLOR for other in found]
            joined = [number for number, alike in zip(joined, like, strict=True) if alike]
        if not joined:
            return inside
        inside = inside | np.isin(regions, joined)


def _neighbors(regions: Int[np.ndarray, 'height width'], inside: Mask, depth: Plane) -> list[Neighbor]:
    rim = scipy.ndimage.binary_dilation(inside) & ~inside & (regions > 0)
    numbers = np.unique(regions[rim])
    if not len(numbers):
        return []
    # A contact has two banks, and the neck is the narrower: behind the other one the region already widens.
    within = scipy.ndimage.maximum_filter(np.where(inside, depth, 0), 3)
    necks = np.atleast_1d(scipy.ndimage.maximum(np.minimum(depth, within)[rim], regions[rim], numbers))
    objects = regions > 0  # sorted by number: the fewer pixels, the faster
    radii = np.atleast_1d(scipy.ndimage.maximum(depth[objects], regions[objects], numbers))
    return [Neighbor(*values) for values in zip(numbers.tolist(), necks.tolist(), radii.tolist(), strict=True)]


def _densities(image: RgbImage) -> Float[np.ndarray, 'height width 3']:
    """The optical density of each channel, in the light of the picture's brightest part."""
    light = np.maximum(np.percentile(image, LIGHT, axis=(0, 1)), 1)
    levels = np.maximum(np.arange(256), 1)  # a logarithm of each level, not of each pixel
    of_level = np.maximum(np.log(light[:, None] / levels), 0)
    return np.stack([of_level[channel][image[..., channel]] for channel in range(3)], -1)


def _direction(colors: Cytoplasm, mask: Mask) -> Float[np.ndarray, ' 3'] | None:
    """The color of the cytoplasm in a mask, however deep: its mean density, of length 1; None if too little."""
    mask = mask & colors.where
    if np.count_nonzero(mask) < FEWEST:
        return None
    mean = colors.densities[mask].mean(0)
    length = float(np.linalg.norm(mean))
    return mean / length if length > 0 else None


def _closed(mask: Mask, radius: float) -> Mask:
    """The mask with bays and gaps narrower than twice `radius` pixels closed."""
    width, within, closed = int(radius) + 2, window(mask), mask.copy()
    grown = scipy.ndimage.distance_transform_edt(~np.pad(mask[within], width)) <= radius
    closed[within] |= (scipy.ndimage.distance_transform_edt(grown) > radius)[width:-width, width:-width]
    return closed
