"""The sizes and the look of a model's training cells, as its card keeps them."""

import math
from collections.abc import Iterator
from typing import NamedTuple


class Look(NamedTuple):
    """Measurements of a picture. Optical densities are natural logarithms, against the light of the background."""

    detail: float  # mean spatial frequency of the green channel, cycles a side: many where cells are small
    contrast: float  # darkness of the darkest quarter of the middle against the light around it: log of light lost
    red_density: float  # optical density in red of that quarter: nuclei, being blue, take red light, red cells do not
    dark_area: float  # share of the picture that is at least half as dense in red as its densest parts
    largest_dark: float  # share of the picture that the largest connected part of that covers
    dark_border: float  # share of the border that is as dark
    red_to_green: float  # optical density in red over that in green, in the darker half of the middle; 1 for gray


class TrainingPictures(NamedTuple):
    """The range of a model's training cells, against which a new picture is held.

    The last five are those of a distance over several measurements; cards of earlier releases, and of models of few
    cells, have none.
    """

    cells: int
    width: tuple[float, float, float]  # least, median and most pixels, before cells were made square
    height: tuple[float, float, float]
    detail: tuple[float, float]  # 1st and 99th percentile of the mean spatial frequency, cycles a side
    contrast: tuple[float, float]  # the same of the darkness of the middle: natural logarithm of light lost in green
    measurements: tuple[str, ...] = ()  # fields of Look, on the scales on which the distance takes them
    mean: tuple[float, ...] = ()  # of each measurement
    deviation: tuple[float, ...] = ()
    inverse_correlation: tuple[tuple[float, ...], ...] = ()
    distance: float = 0.0  # 99th percentile of the distance of a training cell from the others

    def problems(self) -> Iterator[str]:
        """Sentences about a distance that cannot be taken."""
        count = len(self.measurements)
        if unknown := set(self.measurements) - set(Look._fields):
            yield f'has {sorted(unknown)} for pictures.measurements, expected some of {list(Look._fields)}'
        rows = {'mean': self.mean, 'deviation': self.deviation}
        rows |= {f'inverse_correlation[{number}]': row for number, row in enumerate(self.inverse_correlation)}
        for name, row in rows.items():
            if len(row) != count or not all(map(math.isfinite, row)):
                yield f'has {list(row)} for pictures.{name}, expected {count} finite numbers'
        if min(self.deviation, default=1) <= 0:
            yield f'has {list(self.deviation)} for pictures.deviation, expected numbers above 0'
        if len(self.inverse_correlation) != count:
            yield f'has {len(self.inverse_correlation)} rows for pictures.inverse_correlation, expected {count}'
        if not 0 <= self.distance < math.inf:
            yield f'has {self.distance} for pictures.distance, expected a finite number, 0 or more'
