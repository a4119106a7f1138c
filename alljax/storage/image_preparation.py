"""The way from an image file to what a model was trained on."""

from typing import NamedTuple


class Photograph(NamedTuple):
    """The resize and center crop that published weights were trained with."""

    resize: int  # pixels of the shorter side, before the center is cut out
    interpolation: str  # of that resize: 'bilinear' or 'bicubic'


class ImagePreparation(NamedTuple):
    """The square that a file's pixels are brought to, and their filter, before the network's own resize."""

    size: int  # pixels a side of the square
    denoise: str = 'none'  # one of alljax.data.denoise's filters
    photograph: Photograph | None = None  # None for the crop of one cell, which is made square by its mirror image
