"""Segmentation by clusters of colors: k-means and fuzzy c-means."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import skimage
from jaxtyping import Float, Int

from alljax.baselines.fuzzy_clustering import fuzzy_c_means, spread
from alljax.baselines.segment.central_cell import LATEST, Mask, Parts, central, clean, nothing, whole
from alljax.baselines.segment.cut_out import of_cut_outs_too
from alljax.data.image import RgbImage

Colors = Float[np.ndarray, 'colors coordinates']
Clustering = Callable[[Colors, Float[np.ndarray, ' colors'], int], Int[np.ndarray, ' colors']]
STEP = 4  # levels of a channel that are taken as one: at the noise of a camera, and a picture then has few colors
KINDS = 4  # nucleus, cytoplasm, red cells, background


def k_means(colors: Colors, weights: Float[np.ndarray, ' colors'], count: int) -> Int[np.ndarray, ' colors']:
    """The cluster of each color by k-means, from the same centers each time."""
    from sklearn.cluster import KMeans  # takes seconds

    fitted = KMeans(count, init=spread(colors, count, weights), n_init=1).fit(colors, sample_weight=weights)
    return fitted.labels_.astype(int)


def fuzzy(colors: Colors, weights: Float[np.ndarray, ' colors'], count: int) -> Int[np.ndarray, ' colors']:
    """The cluster to which each color belongs most, by fuzzy c-means with m = 2."""
    return fuzzy_c_means(colors, spread(colors, count, weights), weights=weights).memberships.argmax(1)


@of_cut_outs_too
def hsv_k_means(image: RgbImage, version: int = LATEST) -> Parts:
    """Four clusters of hue, saturation and value by k-means."""
    return by_clusters(image, Clusters(cone, k_means), version)


@of_cut_outs_too
def lab_fuzzy(image: RgbImage, version: int = LATEST) -> Parts:
    """Four clusters of L*, a* and b* by fuzzy c-means."""
    return by_clusters(image, Clusters(lab, fuzzy), version)


@of_cut_outs_too
def gray_k_means(image: RgbImage, version: int = LATEST) -> Parts:
    """Three clusters of gray levels by k-means: nucleus, cytoplasm with red cells, background."""
    return by_clusters(image, Clusters(gray, k_means, 3), version)


@of_cut_outs_too
def gray_fuzzy(image: RgbImage, version: int = LATEST) -> Parts:
    """Three clusters of gray levels by fuzzy c-means: nucleus, cytoplasm with red cells, background."""
    return by_clusters(image, Clusters(gray, fuzzy, 3), version)


def cone(colors: Float[np.ndarray, '*pixels 3']) -> Colors:
    """HSV in a cone, where hues of pale colors lie close together and red has no seam: (s cos h, s sin h, v)."""
    hue, saturation, value = np.moveaxis(skimage.color.rgb2hsv(colors), -1, 0)
    return np.stack([saturation * np.cos(2 * np.pi * hue), saturation * np.sin(2 * np.pi * hue), value], -1)


def lab(colors: Float[np.ndarray, '*pixels 3']) -> Colors:
    """CIE L*a*b*."""
    return skimage.color.rgb2lab(colors)


def gray(colors: Float[np.ndarray, '*pixels 3']) -> Colors:
    """Luminance alone."""
    return skimage.color.rgb2gray(colors)[..., None]


class Clusters(NamedTuple):
    """The colors that are clustered, how, and in how many kinds."""

    space: Callable[[np.ndarray], Colors]
    clustering: Clustering
    kinds: int = KINDS


def by_clusters(image: RgbImage, how: Clusters, version: int = LATEST) -> Parts:
    """The nucleus is the cluster of the least green, the cytoplasm of the bluest other one that is not the brightest.

    Every color of the picture is clustered once, with the number of its pixels as weight.
    """
    space, clustering, kinds = how
    coarse = (image // STEP).reshape(-1, 3)
    codes = coarse.astype(np.int64) @ (2**16, 2**8, 1)
    _, first, place, counts = np.unique(codes, return_index=True, return_inverse=True, return_counts=True)
    if len(first) < kinds:
        return nothing((image.shape[0], image.shape[1]))
    colors = np.minimum(coarse[first] * STEP + STEP // 2, 255) / 255
    number = clustering(space(colors), counts.astype(float), kinds)
    found = np.unique(number).tolist()
    means = {k: np.average(colors[number == k], axis=0, weights=counts[number == k]) for k in found}
    by_green = sorted(found, key=lambda k: means[k][1])
    members = number[place].reshape(image.shape[:2])
    nucleus = central(clean(members == by_green[0]), image, version=version)
    return whole(nucleus, _body(members, by_green, means), image, version)


def _body(members: Int[np.ndarray, 'height width'], by_green: list[int], means: dict[int, np.ndarray]) -> Mask:
    """The pixels where a cell's cytoplasm may lie: the bluest cluster between the nucleus' and the brightest."""
    between = by_green[1:-1]
    if not between:
        return np.zeros(members.shape, bool)
    return members == max(between, key=lambda k: means[k][2] - means[k][0])
