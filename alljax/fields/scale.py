"""The size of a white cell in a field's pixels, told by the red cells, which are of one size in all people."""

from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Float

from alljax.data.picture import ImageError
from alljax.fields.light import Density

WHITE_TO_RED = 2.0  # diameters: 14 to 15 μm of a white cell on a smear to 7.4 μm of a red one
RADII = np.geomspace(4, 64, 29)  # of the circles that are looked for, in pixels
EDGES = 70  # percentile of the slope above which a pixel may stand on the edge of a cell
FAINTEST = 0.012  # e-foldings of density a pixel: less is noise of the camera
BLUR = 0.15  # of a radius: how far from round a circle may be
LEAST_CLOSED = 0.35  # of a circle's edge that must be seen
NUCLEAR, NUCLEAR_SPREAD, NUCLEAR_BLUR = 0.2, 4.0, 2.0  # density, quartiles of the field above its median, pixels
LEAST_CIRCLES = 5  # that show one size

Votes = Float[np.ndarray, ' radii']


class Scale(NamedTuple):
    """The diameter of a white cell, in pixels, and the red cells that it was told by; 0 where it was given."""

    cell_pixels: float
    red_cells: int = 0

    def said(self) -> str:
        """The scale as a sentence for the user."""
        if not self.red_cells:
            return f'a white cell is {self.cell_pixels:.0f} pixels wide, as given'
        return f'a white cell is {self.cell_pixels:.0f} pixels wide, estimated from {self.red_cells} red cells'


def circles(stain: Density) -> tuple[Votes, Votes]:
    """Of each of RADII, how much area and how many circles of it the stain shows, those about a nucleus left out.

    Each pixel on an edge votes for the place one radius inward; where a circle's votes meet is a cell, whole or
    partly covered by its neighbors [Kimme, Ballard and Sklansky 1975].
    """
    smooth = scipy.ndimage.gaussian_filter(stain[..., 1] + stain[..., 2], 1.0)
    down, across = np.gradient(smooth)
    slope = np.hypot(down, across)
    y, x = np.nonzero(slope > max(float(np.percentile(slope, EDGES)), FAINTEST))
    direction = np.stack([down[y, x], across[y, x]]) / slope[y, x]
    beside = [scipy.ndimage.map_coordinates(slope, np.stack([y, x]) + side * direction, order=1) for side in (-1, 1)]
    sharpest = slope[y, x] >= np.maximum(*beside)
    places, direction = np.stack([y, x])[:, sharpest], direction[:, sharpest]
    closed = np.stack([_closed(places, direction, radius, slope.shape) for radius in RADII])
    best, which = closed.max(0), closed.argmax(0)
    seen = (best == scipy.ndimage.maximum_filter(best, 9)) & (best > LEAST_CLOSED)
    seen &= _from_nuclei(stain) > RADII[which] / 2
    peak = which[seen]
    area, count = np.zeros(len(RADII)), np.zeros(len(RADII))
    np.add.at(area, peak, best[seen] * RADII[peak] ** 1.5)
    np.add.at(count, peak, 1)
    return area, count


def _from_nuclei(stain: Density) -> Float[np.ndarray, 'height width']:
    """The distance to the next nucleus, in pixels: it takes more red than blue light, beyond the field's own level."""
    nuclear = scipy.ndimage.gaussian_filter(stain[..., 0] - stain[..., 2], NUCLEAR_BLUR)
    low, middle, high = np.percentile(nuclear, [25, 50, 75])
    least = max(NUCLEAR, middle + NUCLEAR_SPREAD * min(high - middle, middle - low))
    if nuclear.max() <= least:
        return np.full(nuclear.shape, np.inf)
    return scipy.ndimage.distance_transform_edt(nuclear <= least)


def estimated(area: Votes, count: Votes, step: int) -> Scale:
    """The scale told by the circles of a field, counted in a picture of every `step`-th pixel of it.

    ImageError where too few of one size were seen.
    """
    best = int(scipy.ndimage.gaussian_filter1d(area, 1.0).argmax())
    near = slice(max(0, best - 2), best + 3)
    seen = int(count[near].sum())
    if seen < LEAST_CIRCLES:
        raise ImageError(
            f'shows {seen} red cells of one size, expected at least {LEAST_CIRCLES} to tell its scale by; '
            'give the diameter of a white cell with --cell_pixels'
        )
    diameter = 2 * step * float(np.average(RADII[near], weights=area[near]))
    return Scale(WHITE_TO_RED * diameter, seen)


def _closed(
    places: np.ndarray, direction: np.ndarray, radius: float, shape: tuple[int, ...]
) -> Float[np.ndarray, 'height width']:
    """The part of a circle's edge that is seen about each place, 0 to about 1."""
    y, x = np.rint(places + radius * direction).astype(int)
    inside = (y >= 0) & (x >= 0) & (y < shape[0]) & (x < shape[1])
    votes = np.bincount(y[inside] * shape[1] + x[inside], minlength=shape[0] * shape[1]).reshape(shape)
    blur = max(1.0, BLUR * radius)
    return scipy.ndimage.gaussian_filter(votes.astype(np.float32), blur) * (blur**2 / radius)
