"""The side of a crop: that at which it looks like the pictures that a model was trained on."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from alljax.data import training_likeness
from alljax.fields.crops import CELL_PIXELS, SIZE
from alljax.storage.training_pictures import TrainingPictures

NOMINAL = SIZE / CELL_PIXELS  # diameters of a white cell, as in ALL-IDB2
SIDES = NOMINAL * 2.0 ** np.arange(-1.5, 1.01, 0.25)  # that are tried, in diameters
CLOSE = 1.25  # times the least distance: about as near

Crop = UInt8[np.ndarray, 'side side 3']


class CropScale(NamedTuple):
    """The side of a crop, and where it comes from, in words."""

    diameters: float  # of a white cell; 0 for as many pixels of a field as a training picture has
    said: str

    def side(self, cell_pixels: float, own: int) -> float:
        """The side in pixels of a field whose white cells are so wide; `own` are those of a training picture."""
        return self.diameters * cell_pixels or float(own)


class Trial(NamedTuple):
    """A cell whose crop may be cut at any side."""

    crop: Callable[[float], Crop]  # the picture, by its side in diameters of a white cell
    own: float  # the diameters that as many pixels as a training picture has would be


def matched(known: TrainingPictures | None, trials: Sequence[Trial]) -> CropScale:
    """The scale at which crops look most like the pictures that a model was trained on, by the distance on its card.

    That of the fields themselves if it does about as well: crops of the same microscope need no other. That of ALL-IDB2
    where the card holds no distance, no cell is there, or crops of no scale look like training pictures.
    """
    if known is None or not known.measurements or not trials:
        reason = 'no cell was found' if known and not trials else 'the model does not tell how its training cells look'
        return CropScale(NOMINAL, f'the scale of ALL-IDB2, since {reason}')

    def away(sides: Sequence[float]) -> float:
        seen = [training_likeness.look(one.crop(side)) for one, side in zip(trials, sides, strict=True)]
        return float(np.median([training_likeness.distance(look, known) for look in seen]))

    own = away([one.own for one in trials])
    found = [away([float(side)] * len(trials)) for side in SIDES]
    best = int(np.argmin(found))
    if min(own, found[best]) > known.distance:
        return CropScale(NOMINAL, 'the scale of ALL-IDB2, since at none crops look like the cells it was trained on')
    if own <= CLOSE * found[best]:
        return CropScale(0.0, 'the fields’ own scale, at which they look like the cells that the model was trained on')
    return CropScale(float(SIDES[best]), 'so that it looks most like the cells that the model was trained on')


def crop_size(known: TrainingPictures | None) -> int:
    """Pixels a side at which crops are kept: those of the model's training files, which it is compared with."""
    return SIZE if known is None else int(np.clip(round(known.width[1]), 64, 1024))
