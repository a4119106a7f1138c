"""Filters before the segmentation, by name; features are measured on the picture as it was."""

from collections.abc import Callable

import numpy as np
import scipy
import skimage

from alljax.data.image import RgbImage

Filter = Callable[[RgbImage], RgbImage]


def stretch(image: RgbImage) -> RgbImage:
    """Contrast stretched linearly, so that 1 % of the values become 0 and 1 % become 255."""
    low, high = np.percentile(image, (1, 99))
    if low == high:
        return image
    return skimage.exposure.rescale_intensity(image, in_range=(low, high), out_range=(0, 255)).astype(np.uint8)


def equalize(image: RgbImage) -> RgbImage:
    """Histogram of the brightness (V of HSV) made flat; hue and saturation stay."""
    parts = skimage.color.rgb2hsv(image)
    if np.ptp(parts[..., 2]) == 0:
        return image
    parts[..., 2] = skimage.exposure.equalize_hist(parts[..., 2])
    return np.round(255 * skimage.color.hsv2rgb(parts)).astype(np.uint8)


def median(image: RgbImage) -> RgbImage:
    """Each pixel of each channel replaced by the median of the 3×3 around it."""
    return scipy.ndimage.median_filter(image, (3, 3, 1))


PREPROCESS: dict[str, Filter] = {'stretch': stretch, 'equalize': equalize, 'median': median}
