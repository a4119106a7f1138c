"""From dark pixels to the one cell that a crop is about: the object in its middle."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage
from skimage import filters, measure, morphology

Mask = Bool[np.ndarray, 'height width']
Channel = Float[np.ndarray, 'height width']

SMALLEST = 0.002  # of the picture's area: less is a platelet, a vacuole or noise
NEAREST = 0.25  # of the shorter side: an object farther than this from the middle is another cell
BAND = 0.7  # of a nucleus' diameter: as far from it as its cytoplasm is looked for


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
    return ndimage.binary_fill_holes(ndimage.binary_opening(mask, morphology.disk(radius)))


def central(mask: Mask, *, lobes: bool = True) -> Mask:
    """The object of a mask that is closest to the middle; empty if all are too small or too far from it.

    With `lobes`, objects that nearly touch are one, as those of a nucleus are.
    """
    side = min(mask.shape)
    joined = ndimage.binary_closing(mask, morphology.disk(max(1, side // 64))) if lobes else mask
    labels = measure.label(joined, connectivity=2 if lobes else 1)
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
    labels = measure.label(mask)
    return np.isin(labels, np.setdiff1d(labels[seed], 0))


def around(nucleus: Mask) -> Mask:
    """The pixels around a nucleus, as far as its cytoplasm may reach."""
    diameter = 2 * np.sqrt(np.count_nonzero(nucleus) / np.pi)
    return (ndimage.distance_transform_edt(~nucleus) <= BAND * diameter) & ~nucleus


def whole(nucleus: Mask, body: Mask) -> Parts:
    """A nucleus with the part of `body` that surrounds it, or nothing if there is no nucleus."""
    if not nucleus.any():
        return nothing((nucleus.shape[0], nucleus.shape[1]))
    near = body & (around(nucleus) | nucleus)
    cell = holding(clean(near | nucleus) | nucleus, nucleus)
    return Parts(nucleus, cell & ~nucleus)


def by_second_threshold(dark: Channel, nucleus: Mask) -> Parts:
    """A nucleus with its cytoplasm: what is dark by Otsu's threshold among the pixels around it."""
    if not nucleus.any():
        return nothing((nucleus.shape[0], nucleus.shape[1]))
    band = around(nucleus)
    if not band.any() or np.ptp(dark[band]) == 0:
        return Parts(nucleus, np.zeros_like(nucleus))
    return whole(nucleus, band & (dark <= filters.threshold_otsu(dark[band])))
