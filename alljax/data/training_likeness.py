"""The distance of a picture from a model's training cells: in size, in scale and in what its middle holds.

It takes no network: a whole field, a field of red cells or another microscope's cells get their probabilities like any
picture, and these numbers say beside them that the model has seen nothing of the kind.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, UInt8
from PIL import Image

from alljax.data.cells import Cells
from alljax.storage.training_pictures import TrainingPictures

UNKNOWN = 'unknown'  # said of every picture where a model does not tell the look of its training cells
SIDE = 64  # pixels at which pictures are measured
MIDDLE, AROUND = 0.25, 0.3  # of the side: radius of what is the cell, and where its surroundings begin
MOST = 500  # training cells that are measured: percentiles need no more
SIZE_TOLERANCE = 1.5  # times the largest or smallest training cell
TOLERANCE = 0.1  # of the training cells' range, beyond its ends

_Y, _X = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE - 0.5
AWAY = np.hypot(_X, _Y)  # from the middle
PARABOLA = np.stack([np.ones_like(_X), _X, _Y, _X * _Y, _X**2, _Y**2], -1)
FIT = np.linalg.pinv(PARABOLA.reshape(-1, 6))
FIT_AROUND = np.linalg.pinv(PARABOLA[AWAY > AROUND])
WINDOW = np.hanning(SIDE)[:, None] * np.hanning(SIDE)
FREQUENCY = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIDE, 1 / SIDE)] * 2))  # cycles a side

Pixels = UInt8[np.ndarray, 'side side 3']


class Look(NamedTuple):
    """Measurements of a picture."""

    detail: float  # mean spatial frequency of the green channel, cycles a side: many where cells are small
    contrast: float  # darkness of the darkest quarter of the middle against the light around it, in e-foldings


def of_cells(cells: Cells, index: Integer[np.ndarray, ' chosen']) -> TrainingPictures | None:
    """The range of the cells at `index`; None if the sizes of their files are not known.

    Percentiles, so that a few odd cells do not widen it.
    """
    if cells.sizes is None or not len(index):
        return None
    chosen = index[np.unique(np.linspace(0, len(index) - 1, min(MOST, len(index))).astype(int))]
    looks = np.array([look(cells.images[place]) for place in chosen])
    (detail_low, contrast_low), (detail_high, contrast_high) = np.percentile(looks, (1, 99), axis=0).tolist()
    width, height = ((float(s.min()), float(np.median(s)), float(s.max())) for s in cells.sizes[index].T)
    return TrainingPictures(len(index), width, height, (detail_low, detail_high), (contrast_low, contrast_high))


def reasons(pixels: Pixels, size: tuple[int, int], known: TrainingPictures | None) -> str:
    """The ways in which a picture is unlike the training cells, in words; '' for none.

    `pixels` are as the model takes them, `size` is width and height of the file.
    """
    if known is None:
        return UNKNOWN
    found, seen = [], look(pixels)
    if _far(size[0], known.width) or _far(size[1], known.height):
        usual = f'{known.width[1]:.0f} × {known.height[1]:.0f}'
        found.append(f'{size[0]} × {size[1]} pixels, where training cells have {usual}')
    for name, value, (low, high), few, many in (
        ('detail', seen.detail, known.detail, 'larger or less sharp', 'smaller'),
        ('contrast', seen.contrast, known.contrast, 'less dark in the middle', 'darker in the middle'),
    ):
        margin = TOLERANCE * (high - low)
        if not low - margin <= value <= high + margin:
            word = few if value < low else many
            found.append(f'{word} than training cells ({name} {value:.2f}, theirs {low:.2f} to {high:.2f})')
    return '; '.join(found)


def look(pixels: Pixels) -> Look:
    """The measurements of one picture, of any size.

    The light is taken as a parabola over the picture, fitted around the middle, so that a vignette is no object.
    """
    green = Image.fromarray(pixels).getchannel('G').resize((SIDE, SIDE), Image.Resampling.BOX)
    light = np.log(np.asarray(green, float) + 8)  # 8: the noise of a camera in the dark is no detail
    contrast = -np.percentile((light - PARABOLA @ (FIT_AROUND @ light[AWAY > AROUND]))[AWAY < MIDDLE], 25)
    return Look(_mean_frequency(light - PARABOLA @ (FIT @ light.ravel())), float(contrast))


def _mean_frequency(light: Float[np.ndarray, 'side side']) -> float:
    """The mean spatial frequency, weighted with its power; 0 for a picture of one tone."""
    power = np.where(FREQUENCY < SIDE / 2, np.abs(np.fft.fft2(light * WINDOW)) ** 2, 0)
    return float((power * FREQUENCY).sum() / power.sum()) if power.sum() > 1e-9 else 0.0


def _far(pixels: int, known: tuple[float, float, float]) -> bool:
    return not known[0] / SIZE_TOLERANCE <= pixels <= known[2] * SIZE_TOLERANCE
