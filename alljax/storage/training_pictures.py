"""The sizes and the look of a model's training cells, as its card keeps them."""

from typing import NamedTuple


class TrainingPictures(NamedTuple):
    """The range of a model's training cells, against which a new picture is held."""

    cells: int
    width: tuple[float, float, float]  # least, median and most pixels, before cells were made square
    height: tuple[float, float, float]
    detail: tuple[float, float]  # 1st and 99th percentile of the mean spatial frequency, cycles a side
    contrast: tuple[float, float]  # the same of the darkness of the middle: natural logarithm of light lost in green
