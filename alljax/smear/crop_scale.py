"""The side of a crop: so that nuclei take the same part of it as of a model's training pictures."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from alljax.data import training_likeness
from alljax.fields.crops import CELL_PIXELS, SIZE
from alljax.storage.training_pictures import TrainingPictures

NOMINAL = SIZE / CELL_PIXELS  # diameters of a white cell, as in ALL-IDB2
SIDES = NOMINAL * 2.0 ** np.arange(-1.5, 1.01, 0.125)  # that are tried, in diameters
LARGEST_DARK = 'largest_dark'  # the part of a picture that its largest dark object takes: the nucleus
OFFSET = 0.02  # under whose logarithm the card has it
CLOSE, FAR = 0.5, 2.0  # deviations of training pictures: what is as large as theirs, and what is not

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
    """The scale at which the largest dark object of crops, the nucleus, is as large as in training pictures.

    That of the fields themselves, if nuclei are about as large then: crops of the same microscope need no other. That
    of ALL-IDB2 where the card does not tell how large nuclei are, or no cell is there.
    """
    if known is None or LARGEST_DARK not in known.measurements or not trials:
        reason = (
            'no cell was found' if known and not trials else 'the model does not tell how large its training cells are'
        )
        return CropScale(NOMINAL, f'the scale of ALL-IDB2, since {reason}')
    place = known.measurements.index(LARGEST_DARK)
    wanted, spread = known.mean[place], known.deviation[place]

    def off(sides: Sequence[float]) -> float:
        seen = [training_likeness.look(one.crop(side)).largest_dark for one, side in zip(trials, sides, strict=True)]
        return abs(float(np.median(np.log(np.array(seen) + OFFSET))) - wanted)

    if off([one.own for one in trials]) <= CLOSE * spread:
        return CropScale(
            0.0, 'the fields’ own scale, at which nuclei are as large as those that the model was trained on'
        )
    found = [off([float(side)] * len(trials)) for side in SIDES]
    best = int(np.argmin(found))
    if found[best] > FAR * spread:
        return CropScale(NOMINAL, 'the scale of ALL-IDB2, since at none nuclei are as large as those it was trained on')
    return CropScale(float(SIDES[best]), 'so that nuclei are as large as those that the model was trained on')


def crop_size(known: TrainingPictures | None) -> int:
    """Pixels a side at which crops are kept: those of the model's training files, which it is compared with."""
    return SIZE if known is None else int(np.clip(round(known.width[1]), 64, 1024))
