"""From dark pixels to the one cell that a crop is about: the object in its middle.

Functions take the version of the search: 1 is that of release 0.1, kept for models that were trained with it.
"""

from typing import NamedTuple

import numpy as np
import scipy
import skimage
from jaxtyping import Bool, Float

from alljax.baselines.segment import one_cell
from alljax.data.image import RgbImage
from alljax.storage.image_preparation import SEGMENTATIONS

Mask = Bool[np.ndarray, 'height width']
Channel = Float[np.ndarray, 'height width']

SMALLEST = 0.002  # of the picture's area: less is a platelet, a vacuole or noise
NEAREST = 0.25  # of the shorter side: an object farther than this from the middle is another cell
LATEST = SEGMENTATIONS[-1]
BAND = 0.7  # of a nucleus' diameter: as far from it as its cytoplasm is looked for

TWO_KINDS = 0.75  # of the variance, that lies between both sides of Otsu's threshold: 0.64 in one normal distribution


class Parts(NamedTuple):
    """The masks of the central cell; both are empty if none was found."""

    nucleus: Mask
    cytoplasm: Mask  # the cell without its nucleus

    @property
    def cell(self) -> Mask:
        """Nucleus and cytoplasm together."""
        return self.nucleus | self.cytoplasm

    @property
    def found(self) -> bool:
        """True if there is a nucleus."""
        return bool(self.nucleus.any())


def nothing(shape: tuple[int, int]) -> Parts:
    """The parts of a picture without a cell."""
    return Parts(np.zeros(shape, bool), np.zeros(shape, bool))


def clean(mask: Mask, radius: int = 2) -> Mask:
    """A mask without specks and bridges thinner than twice `radius` pixels, its holes filled.

    A hole is filled if it does not reach the border of the picture.
    """
    return scipy.ndimage.binary_fill_holes(scipy.ndimage.binary_opening(mask, skimage.morphology.disk(radius)))


def central(mask: Mask, image: RgbImage | None = None, *, lobes: bool = True, version: int = LATEST) -> Mask:
    """The object of a mask that is in the middle; empty if all are too small or too far from it.

    With `lobes`, objects near to each other are one, as those of a nucleus are: as of version 2 the lobes as dark in
    the `image` as the one in the middle.
    """
    if version > 1 and lobes:
        return one_cell.lobes(mask, image)
    side = min(mask.shape)
    joined = scipy.ndimage.binary_closing(mask, skimage.morphology.disk(max(1, side // 64))) if lobes else mask
    labels = skimage.measure.label(joined, connectivity=2 if lobes else 1)
    y, x = np.ogrid[: mask.shape[0], : mask.shape[1]]
    away = np.hypot(y - (mask.shape[0] - 1) / 2, x - (mask.shape[1] - 1) / 2)
    best, least = 0, (float(NEAREST * side), 0)
    for number in range(1, labels.max() + 1):
        its = labels == number
        size = int(np.count_nonzero(its))
        if size >= SMALLEST * mask.size and (float(away[its].min()), -size) < least:
            best, least = number, (float(away[its].min()), -size)
    return mask & (labels == best) if best else np.zeros_like(mask)


def holding(mask: Mask, seed: Mask) -> Mask:
    """The objects of a mask that hold a pixel of `seed`."""
    labels = skimage.measure.label(mask)
    return np.isin(labels, np.setdiff1d(labels[seed], 0))


def around(nucleus: Mask, version: int = LATEST) -> Mask:
    """The pixels around a nucleus, as far as its cytoplasm may reach."""
    diameter = 2 * np.sqrt(np.count_nonzero(nucleus) / np.pi)
    core = one_cell.hull(nucleus) if version > 1 and nucleus.any() else nucleus
    near, within = np.zeros_like(nucleus), one_cell.window(core, BAND * diameter)
    near[within] = scipy.ndimage.distance_transform_edt(~core[within]) <= BAND * diameter
    return near & ~nucleus


def whole(nucleus: Mask, body: Mask, image: RgbImage, version: int = LATEST) -> Parts:
    """A nucleus with the part of `body` that surrounds it, or nothing if there is no nucleus."""
    if not nucleus.any():
        return nothing((nucleus.shape[0], nucleus.shape[1]))
    near = around(nucleus, version) | nucleus
    if version > 1:
        stained = holding(clean(body | nucleus) | nucleus, nucleus)
        cell = one_cell.around_nucleus(nucleus, stained, near, image)
    else:
        cell = holding(clean(body & near | nucleus) | nucleus, nucleus)
    return Parts(nucleus, cell & ~nucleus)


def by_second_threshold(dark: Channel, found: Mask, image: RgbImage, version: int = LATEST) -> Parts:
    """The parts of what is dark by one threshold, by Otsu's second.

    What was found is a nucleus, and its cytoplasm is dark among the pixels around; as of version 2, where its own
    levels are of two kinds, it is the cell, and its darker part the nucleus.
    """
    if not found.any():
        return nothing((found.shape[0], found.shape[1]))
    if version > 1 and _of_two_kinds(dark[found]):
        nucleus = central(
            clean(found & (dark <= skimage.filters.threshold_otsu(dark[found]))) & found, image, version=version
        )
        if nucleus.any():
            return whole(nucleus, found, image, version)
    band = around(found, version)
    if not band.any() or np.ptp(dark[band]) == 0:
        return Parts(found, np.zeros_like(found))
    return whole(found, band & (dark <= skimage.filters.threshold_otsu(dark[band])), image, version)


def _of_two_kinds(values: Float[np.ndarray, ' pixels']) -> bool:
    """True if a threshold explains more of the variance of some levels than it does where they are of one kind."""
    if np.ptp(values) == 0:
        return False
    below = values <= skimage.filters.threshold_otsu(values)
    share = below.mean()
    between = share * (1 - share) * (values[below].mean() - values[~below].mean()) ** 2
    return bool(between > TWO_KINDS * values.var())
