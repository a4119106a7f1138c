"""The distance of a picture from a model's training cells: in size, in scale, in color and in what its middle holds.

It takes no network: a whole field, a field of red cells or another microscope's cells get their probabilities like any
picture, and these numbers say beside them that the model has seen nothing of the kind.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Float, Integer, UInt8
from PIL import Image

from alljax.data.cells import Cells
from alljax.storage.training_pictures import Look, TrainingPictures

UNKNOWN = 'unknown'  # said of every picture where a model does not tell the look of its training cells
SIDE = 64  # pixels at which pictures are measured
MIDDLE, AROUND = 0.25, 0.3  # of the side: radius of what is the cell, and where its surroundings begin
MOST = 500  # training cells that are measured: percentiles need no more
SIZE_TOLERANCE = 1.5  # times the largest or smallest training cell
TOLERANCE = 0.1  # of the training cells' range, beyond its ends
LEAST = 20  # training cells below which no distance is taken: they do not tell how seven measurements vary together
VARIES = 0.01  # least deviation of a measurement: beside a smaller one, any difference would be a large one
SHRINKAGE = 0.02  # of the correlations towards 0
PERCENTILE = 99  # of the distances of training cells, each from the others
DISTANCE_TOLERANCE = 1.05  # times that: beyond it a picture is unlike them
DARK = 0.15  # least optical density of what is dark: below it is the noise of the background

_Y, _X = (np.mgrid[:SIDE, :SIDE] + 0.5) / SIDE - 0.5
AWAY = np.hypot(_X, _Y)  # from the middle
PARABOLA = np.stack([np.ones_like(_X), _X, _Y, _X * _Y, _X**2, _Y**2], -1)
FIT = np.linalg.pinv(PARABOLA.reshape(-1, 6))
FIT_AROUND = np.linalg.pinv(PARABOLA[AWAY > AROUND])
BORDER = np.pad(np.zeros((SIDE - 2, SIDE - 2), bool), 1, constant_values=True)
WINDOW = np.hanning(SIDE)[:, None] * np.hanning(SIDE)
FREQUENCY = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIDE, 1 / SIDE)] * 2))  # cycles a side

Pixels = UInt8[np.ndarray, 'side side 3']


# What a measurement below and above the mean of the training cells says about a picture.
WORDS = {
    'detail': ('what it shows is larger or less sharp than theirs', 'what it shows is smaller than theirs'),
    'contrast': ('its middle is less dark than theirs', 'its middle is darker than theirs'),
    'red_density': ('its middle takes less red light than theirs', 'its middle takes more red light than theirs'),
    'dark_area': ('less of it is dark than of theirs', 'more of it is dark than of theirs'),
    'largest_dark': ('its largest dark object is smaller than theirs', 'its largest dark object is larger than theirs'),
    'dark_border': ('less of its border is dark than of theirs', 'more of its border is dark than of theirs'),
    'red_to_green': (
        'the dark in its middle is pinker than theirs',
        'the dark in its middle is bluer or grayer than theirs',
    ),
}


def of_cells(cells: Cells, index: Integer[np.ndarray, ' chosen']) -> TrainingPictures | None:
    """The range of the cells at `index`; None if the sizes of their files are not known.

    Percentiles, so that a few odd cells do not widen it.
    """
    if cells.sizes is None or not len(index):
        return None
    chosen = index[np.unique(np.linspace(0, len(index) - 1, min(MOST, len(index))).astype(int))]
    looks = [look(cells.images[place]) for place in chosen]
    ends = np.percentile(np.array(looks)[:, :2], (1, 99), axis=0).T.tolist()
    detail, contrast = ((low, high) for low, high in ends)
    width, height = ((float(s.min()), float(np.median(s)), float(s.max())) for s in cells.sizes[index].T)
    return _with_distance(TrainingPictures(len(index), width, height, detail, contrast), looks)


def reasons(pixels: Pixels, size: tuple[int, int], known: TrainingPictures | None) -> str:
    """The ways in which a picture is unlike the training cells, in words; '' for none.

    `pixels` are as the model takes them, `size` is width and height of the file.
    """
    if known is None:
        return UNKNOWN
    found = []
    if _far(size[0], known.width) or _far(size[1], known.height):
        usual = f'{known.width[1]:.0f} × {known.height[1]:.0f}'
        found.append(f'{size[0]} × {size[1]} pixels, where training cells have {usual}')
    return '; '.join([*found, *differences(look(pixels), known)])


def differences(seen: Look, known: TrainingPictures) -> list[str]:
    """The ways in which the measurements of a picture are unlike those of the training cells, in words."""
    found = []
    for name, value, (low, high), few, many in (
        ('detail', seen.detail, known.detail, 'larger or less sharp', 'smaller'),
        ('contrast', seen.contrast, known.contrast, 'less dark in the middle', 'darker in the middle'),
    ):
        margin = TOLERANCE * (high - low)
        if not low - margin <= value <= high + margin:
            word = few if value < low else many
            found.append(f'{word} than training cells ({name} {value:.2f}, theirs {low:.2f} to {high:.2f})')
    if far := _beyond_distance(seen, known):
        found.append(far)
    return found


def look(pixels: Pixels) -> Look:
    """The measurements of one picture, of any size.

    For `contrast` and `detail` the light is taken as a parabola over the picture, fitted around the middle, so that a
    vignette is no object; for the optical densities it is the 90th percentile of each channel.
    """
    small = np.asarray(Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX))
    # 8: the noise of a camera in the dark is no detail.
    red, light = (np.log(small[..., channel].astype(float) + 8) for channel in (0, 1))
    contrast = -np.percentile((light - PARABOLA @ (FIT_AROUND @ light[AWAY > AROUND]))[AWAY < MIDDLE], 25)
    red, green = (_ranked(levels, 0.9) - levels for levels in (red, light))
    dark = red > max(_ranked(red, 0.98) / 2, DARK)
    in_red, in_green = red[AWAY < MIDDLE], green[AWAY < MIDDLE]
    darker = in_green >= _ranked(in_green, 0.5)
    return Look(
        detail=_mean_frequency(light - PARABOLA @ (FIT @ light.ravel())),
        contrast=float(contrast),
        red_density=_ranked(in_red, 0.75),
        dark_area=float(dark.mean()),
        largest_dark=_largest(dark),
        dark_border=float(dark[BORDER].mean()),
        red_to_green=_ranked((in_red[darker].clip(0) + 0.05) / (in_green[darker].clip(0) + 0.05), 0.5),
    )


def _ranked(values: Float[np.ndarray, '*shape'], share: float) -> float:
    """The value below which a share of the others lies: a percentile, in a tenth of the time of NumPy's."""
    place = int(share * values.size)
    return float(np.partition(values, place, axis=None)[place])


def _mean_frequency(light: Float[np.ndarray, 'side side']) -> float:
    """The mean spatial frequency, weighted with its power; 0 for a picture of one tone."""
    power = np.where(FREQUENCY < SIDE / 2, np.abs(np.fft.fft2(light * WINDOW)) ** 2, 0)
    return float((power * FREQUENCY).sum() / power.sum()) if power.sum() > 1e-9 else 0.0


def _largest(dark: Bool[np.ndarray, 'side side']) -> float:
    """The share of the picture that the largest connected object covers."""
    labels, _ = scipy.ndimage.label(dark)
    return float(np.bincount(labels.ravel())[1:].max(initial=0) / dark.size)


def _far(pixels: int, known: tuple[float, float, float]) -> bool:
    return not known[0] / SIZE_TOLERANCE <= pixels <= known[2] * SIZE_TOLERANCE


def _scaled(seen: Look) -> Look:
    """Measurements on scales on which equal steps are alike: logarithms of what is above 0."""
    return seen._replace(
        detail=math.log(max(seen.detail, 0.1)),
        red_density=math.log(max(seen.red_density, 0.02)),
        dark_area=math.log(seen.dark_area + 0.02),
        largest_dark=math.log(seen.largest_dark + 0.02),
        red_to_green=math.log(seen.red_to_green),
    )


class _Normal(NamedTuple):
    """A normal distribution of measurements."""

    mean: Float[np.ndarray, ' measurements']
    deviation: Float[np.ndarray, ' measurements']
    inverse: Float[np.ndarray, 'measurements measurements']  # of the correlations

    def parts(self, row: Float[np.ndarray, ' measurements']) -> Float[np.ndarray, ' measurements']:
        """The share of each measurement in the square of the distance (Mahalanobis) of a row from the mean."""
        away = (row - self.mean) / self.deviation
        return away * (self.inverse @ away)

    def distance(self, row: Float[np.ndarray, ' measurements']) -> float:
        """The distance of a row from the mean, in deviations."""
        return math.sqrt(max(self.parts(row).sum(), 0))


def _normal(rows: Float[np.ndarray, 'cells measurements']) -> _Normal:
    """The distribution of cells, its correlations shrunk so that they always have an inverse."""
    mean, deviation = rows.mean(0), np.maximum(rows.std(0), VARIES)
    away = (rows - mean) / deviation
    correlation = (1 - SHRINKAGE) * away.T @ away / len(rows) + SHRINKAGE * np.eye(rows.shape[1])
    return _Normal(mean, deviation, np.linalg.inv(correlation))


def _with_distance(known: TrainingPictures, looks: Sequence[Look]) -> TrainingPictures:
    """The record with a distance over the measurements that vary; as it is for few cells."""
    rows = np.array([_scaled(seen) for seen in looks])
    varies = rows.std(0) > VARIES
    if len(rows) < LEAST or not varies.any():
        return known
    rows = rows[:, varies]
    normal = _normal(rows)
    # Each cell's distance from the others: that from all, itself among them, is too small where cells are few.
    distances = [_normal(np.delete(rows, place, 0)).distance(row) for place, row in enumerate(rows)]
    return known._replace(
        measurements=tuple(name for name, kept in zip(Look._fields, varies, strict=True) if kept),
        mean=tuple(normal.mean.tolist()),
        deviation=tuple(normal.deviation.tolist()),
        inverse_correlation=tuple(map(tuple, normal.inverse.tolist())),
        distance=float(np.percentile(distances, PERCENTILE)),
    )


def distance(seen: Look, known: TrainingPictures) -> float | None:
    """The distance of a picture from the training cells, in deviations; None for a model that keeps no distance."""
    if not known.measurements:
        return None
    return _normal_of(known).distance(_row(seen, known))


def _normal_of(known: TrainingPictures) -> _Normal:
    return _Normal(*map(np.array, (known.mean, known.deviation, known.inverse_correlation)))


def _row(seen: Look, known: TrainingPictures) -> Float[np.ndarray, ' measurements']:
    return np.array([getattr(_scaled(seen), name) for name in known.measurements])


def _beyond_distance(seen: Look, known: TrainingPictures) -> str:
    """The sentence about a picture beyond the training cells' distance, by what adds most to it; '' for any other."""
    far = distance(seen, known)
    if far is None or far <= DISTANCE_TOLERANCE * known.distance:
        return ''
    normal, row = _normal_of(known), _row(seen, known)
    most = normal.parts(row).argmax()
    below, above = WORDS[known.measurements[most]]
    word = below if row[most] < normal.mean[most] else above
    return f'looks unlike training cells: {word} (distance {far:.2f}, theirs up to {known.distance:.2f})'
