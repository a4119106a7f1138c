"""The side of a crop, in cells: so that nuclei take the same part of it as of a model's training pictures."""

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

Crop = UInt8[np.ndarray, 'side side 3']


class CropScale(NamedTuple):
    """The side of a crop in diameters of a white cell, and where it comes from, in words."""

    diameters: float
    said: str


def matched(known: TrainingPictures | None, crops: Sequence[Callable[[float], Crop]]) -> CropScale:
    """The scale at which the largest dark object of crops is as large as in training pictures.

    `crops` give the picture of a cell, by the side in diameters. The scale of ALL-IDB2 where the card does not tell how
    large nuclei are, or no cell is there.
    """
    if known is None or LARGEST_DARK not in known.measurements or not crops:
        reason = (
            'no cell was found' if known and not crops else 'the model does not tell how large its training cells are'
        )
        return CropScale(NOMINAL, f'the scale of ALL-IDB2, since {reason}')
    place = known.measurements.index(LARGEST_DARK)
    wanted, spread = known.mean[place], known.deviation[place]
    found = np.array(
        [[np.log(training_likeness.look(crop(side)).largest_dark + OFFSET) for crop in crops] for side in SIDES]
    )
    off = np.abs(np.median(found, 1) - wanted)
    best = int(off.argmin())
    if off[best] > 2 * spread:
        return CropScale(NOMINAL, 'the scale of ALL-IDB2, since at none nuclei are as large as those it was trained on')
    return CropScale(float(SIDES[best]), 'so that nuclei are as large as those that the model was trained on')


def side_in_pixels(scale: CropScale, cell_pixels: float) -> float:
    """The side of a crop in pixels of a field."""
    return scale.diameters * cell_pixels


def crop_size(known: TrainingPictures | None) -> int:
    """Pixels a side at which crops are kept: those of the model's training files, which it is compared with."""
    return SIZE if known is None else int(np.clip(round(known.width[1]), 64, 1024))
