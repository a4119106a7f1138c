"""Segmentation by thresholds: Otsu's, Zack's triangle, and two at a time by golden-section search."""

from collections.abc import Callable

import numpy as np
import scipy
import skimage
from jaxtyping import Float

from alljax.baselines.segment import one_cell
from alljax.baselines.segment.central_cell import (
    LATEST,
    Channel,
    Mask,
    Parts,
    by_second_threshold,
    central,
    clean,
    holding,
    nothing,
    whole,
)
from alljax.baselines.segment.cut_out import of_cut_outs_too
from alljax.data.image import RgbImage

DARKEST = 3  # percent of a picture's pixels: few enough to be of a nucleus, if there is one
GOLDEN = (5**0.5 - 1) / 2


@of_cut_outs_too
def otsu(image: RgbImage, version: int = LATEST) -> Parts:
    """The nucleus, or the cell, is what is darker than Otsu's threshold of the gray picture; a second one parts it."""
    gray = skimage.color.rgb2gray(image)
    if np.ptp(gray) == 0:
        return nothing(gray.shape)
    dark = central(clean(gray <= skimage.filters.threshold_otsu(gray)), image, version=version)
    return by_second_threshold(gray, dark, image, version)


@of_cut_outs_too
def three_levels(image: RgbImage, version: int = LATEST) -> Parts:
    """Nucleus, cytoplasm and the rest by the two thresholds that split the green channel best (Liao et al. 2001)."""
    green = image[..., 1]
    if len(np.unique(green)) < 3:
        return nothing(green.shape)
    low, high = skimage.filters.threshold_multiotsu(green, classes=3)
    return whole(central(clean(green <= low), image, version=version), green <= high, image, version)


def yellow(image: RgbImage) -> Float[np.ndarray, 'height width']:
    """The yellow of CMYK, 0 to 1: what the blue channel lacks of the strongest."""
    strongest = image.max(-1).astype(float)
    return np.divide(strongest - image[..., 2], strongest, out=np.zeros_like(strongest), where=strongest > 0)


def zack(channel: Channel) -> float:
    """Zack's triangle threshold (Zack et al. 1977): the level farthest from the line from peak to tail."""
    return float(skimage.filters.threshold_triangle(channel))


@of_cut_outs_too
def triangle_and_watershed(image: RgbImage, version: int = LATEST) -> Parts:
    """The cell by its lack of yellow (Zack's triangle), cut from its neighbors by a watershed; nucleus by green × a*.

    The yellow channel is equalized and stretched first. Blank parts of the picture lack yellow too: they are left out
    by Otsu's threshold on green. As of version 2 by the upper of two, since one may leave out pale cytoplasm, and what
    lacks yellow is where the cell is looked for, not all of it: under yellow light only its nucleus lacks it.
    """
    channel = yellow(image)
    green = image[..., 1].astype(float)
    if np.ptp(channel) == 0 or np.ptp(green) == 0:
        return nothing(green.shape)
    level = skimage.exposure.equalize_hist(channel)
    level = skimage.exposure.rescale_intensity(level, in_range=(level.min(), level.max()), out_range=(0.0, 1.0))
    if version > 1 and len(np.unique(green)) > 2:
        stained = green <= skimage.filters.threshold_multiotsu(green, classes=3)[1]
        seed = one_cell.lobes_in_the_middle(clean((level <= zack(level)) & stained, 3), image)
        cell = whole(seed, stained, image, version).cell
    else:
        stained = green <= skimage.filters.threshold_otsu(green)
        cell = central(apart(clean((level <= zack(level)) & stained, 3)), lobes=False, version=1)
    return nucleus_within(image, cell, version)


def apart(mask: Mask) -> Mask:
    """A mask in which objects that touch are cut along the watershed of their distance to the border."""
    inside = scipy.ndimage.gaussian_filter(scipy.ndimage.distance_transform_edt(mask), 2)
    least = max(5, min(mask.shape) // 8)
    peaks = skimage.feature.peak_local_max(inside, min_distance=least, labels=mask.astype(int), exclude_border=False)
    markers = np.zeros(mask.shape, int)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return skimage.segmentation.watershed(-inside, markers, mask=mask, watershed_line=True) > 0


def nucleus_within(image: RgbImage, cell: Mask, version: int = LATEST) -> Parts:
    """The nucleus of a cell: where the lack of green times a* is above Otsu's threshold of the cell."""
    product = (255 - image[..., 1].astype(float)) * np.maximum(skimage.color.rgb2lab(image)[..., 1], 0)
    if not cell.any():
        return nothing(product.shape)
    if np.ptp(product[cell]) == 0:  # of one tone: a nucleus that shows no cytoplasm
        return Parts(cell, np.zeros_like(cell))
    nucleus = central(
        clean((product >= skimage.filters.threshold_otsu(product[cell])) & cell) & cell, image, version=version
    )
    if version > 1:
        return whole(nucleus, cell, image, version)
    return Parts(nucleus, cell & ~nucleus) if nucleus.any() else nothing(product.shape)


def golden_section(score: Callable[[float], float], low: float, high: float, tolerance: float) -> float:
    """The place of a maximum of `score` between `low` and `high`, to within `tolerance` (Kiefer 1953).

    The only one, if there is no other; each step keeps the golden part of the interval and asks for one new value.
    """
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = score(left), score(right)
    while high - low > tolerance:
        if at_left >= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = score(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = score(right)
    return (low + high) / 2


def between_classes(values: Float[np.ndarray, ' pixels']) -> Callable[[float], float]:
    """Otsu's criterion: the variance between the pixels on both sides of a threshold."""
    counts, edges = np.histogram(values, 256)
    centers = (edges[1:] + edges[:-1]) / 2

    def score(threshold: float) -> float:
        below = centers <= threshold
        first, second = counts[below].sum(), counts[~below].sum()
        if not first or not second:
            return 0.0
        gap = (counts[below] @ centers[below]) / first - (counts[~below] @ centers[~below]) / second
        return float(first * second * gap**2 / counts.sum() ** 2)

    return score


def searched(values: Float[np.ndarray, ' pixels']) -> float:
    """The threshold of the largest variance between classes that a golden-section search finds."""
    low, high = float(values.min()), float(values.max())
    return golden_section(between_classes(values), low, high, (high - low) / 256)


@of_cut_outs_too
def dual_threshold(image: RgbImage, version: int = LATEST) -> Parts:
    """Pixels that are dark in the stretched gray picture and of the hue of the darkest, by two searched thresholds.

    Holes are filled, thin parts opened away, and the border smoothed by a median filter.
    """
    gray = skimage.color.rgb2gray(image)
    gray = skimage.exposure.rescale_intensity(gray, in_range=tuple(np.percentile(gray, (1, 99))), out_range=(0.0, 1.0))
    hue = skimage.color.rgb2hsv(image)[..., 0]
    if np.ptp(gray) == 0 or np.ptp(hue) == 0:
        return nothing(gray.shape)
    hue = (hue - 0.5 / 3) % 1.0  # cut in the yellow, which no stain takes: red follows blue without a jump
    dark = gray <= searched(gray.ravel())
    below = hue <= searched(hue.ravel())
    darkest = gray <= np.percentile(gray, DARKEST)
    cells_hue = below == (np.mean(below[darkest]) >= 0.5)  # the side on which a nucleus is
    cell = scipy.ndimage.median_filter(clean(dark & cells_hue, 3).astype(np.uint8), 7).astype(bool)
    cell = central(cell, image, version=version)
    if not cell.any():
        return nothing(gray.shape)
    if np.ptp(gray[cell]) == 0:
        return Parts(cell, np.zeros_like(cell))
    nucleus = central(clean(cell & (gray <= searched(gray[cell]))) & cell, image, version=version)
    if version > 1:
        return whole(nucleus, cell, image, version)
    return Parts(nucleus, holding(cell, nucleus) & ~nucleus)
