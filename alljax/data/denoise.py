"""Filters against noise, each by its name: run on the host once, before training and before prediction alike."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy
import skimage
from jaxtyping import Shaped, UInt8

Cell = Shaped[np.ndarray, 'height width 3']

SIZE = (3, 3, 1)  # the smallest window there is: a larger one wears off the nucleoli that tell a blast
SIGMA = 1.0  # pixels; it reaches about as far as the 3 × 3 windows, so the filters compare
AMOUNT = 1.0  # of the detail added once more: enough to see, and a flat region's noise is at most doubled
CUTOFF = 0.2  # cycles a pixel: details of 5 pixels and more pass, sensor noise at 2 pixels does not
PAD = 16  # pixels; the low-pass filter takes an image as a tile, and rings for fewer pixels than that
RING = np.ones((3, 3, 1), bool)
RING[1, 1] = False


def filtered(images: UInt8[np.ndarray, 'cells height width 3'], how: str) -> UInt8[np.ndarray, 'cells height width 3']:
    """The cells after the filter of that name, one of `NAMES`; 'none' returns the very same array.

    Each channel of each cell on its own; a border continues as its mirror image. Values are rounded and kept in 0 to
    255. Raises ValueError for another name. Source: the noise removal that Shafique & Tehsin 2018 leave to future work.
    """
    if how not in NAMES:
        raise ValueError(f'no noise filter is named {how!r}; there are {", ".join(NAMES)}')
    if how == 'none':
        return images
    result = np.empty_like(images)

    def one(cell: int) -> None:
        result[cell] = filtered_cell(images[cell], how)

    with ThreadPoolExecutor() as threads:  # SciPy lets go of the interpreter: two cores take half the time
        list(threads.map(one, range(len(images))))
    return result


def filtered_cell(cell: UInt8[np.ndarray, 'height width 3'], how: str) -> UInt8[np.ndarray, 'height width 3']:
    """The same of one cell."""
    return cell if how == 'none' else np.clip(np.rint(FILTERS[how](cell)), 0, 255).astype(np.uint8)


def _median(cell: Cell) -> Cell:
    return scipy.ndimage.median_filter(cell, SIZE, mode='reflect')


def _mean(cell: Cell) -> Cell:
    return scipy.ndimage.uniform_filter(cell.astype(np.float32), SIZE, mode='reflect')


def _unsharp(cell: Cell) -> Cell:
    # 2, not -1: that leaves all rows but three unwritten (scikit-image's issue 7264)
    return skimage.filters.unsharp_mask(cell.astype(np.float32), SIGMA, AMOUNT, preserve_range=True, channel_axis=2)


def _gaussian(cell: Cell) -> Cell:
    return skimage.filters.gaussian(
        cell.astype(np.float32), SIGMA, mode='reflect', preserve_range=True, channel_axis=-1
    )


def _conservative(cell: Cell) -> Cell:
    """Each value limited to the range of its eight neighbors, at a border of those it has."""
    # 'mirror' does not repeat the border pixel, which would make it its own neighbor and keep its noise
    low = scipy.ndimage.minimum_filter(cell, footprint=RING, mode='mirror')
    high = scipy.ndimage.maximum_filter(cell, footprint=RING, mode='mirror')
    return np.clip(cell, low, high)


def _lowpass(cell: Cell) -> Cell:
    padded = np.pad(cell.astype(np.float32), ((PAD, PAD), (PAD, PAD), (0, 0)), mode='symmetric')
    return skimage.filters.butterworth(padded, CUTOFF, high_pass=False, channel_axis=-1)[PAD:-PAD, PAD:-PAD]


FILTERS: dict[str, Callable[[Cell], Cell]] = {
    'median': _median,
    'mean': _mean,
    'unsharp': _unsharp,
    'gaussian': _gaussian,
    'conservative': _conservative,
    'lowpass': _lowpass,
}
NAMES = ('none', *FILTERS)
