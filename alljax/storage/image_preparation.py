"""The way from an image file to what a model was trained on."""

from typing import NamedTuple

SEGMENTATIONS = (1, 2)  # versions of the search for a cell, the last being that of new runs; a model keeps its own


class Photograph(NamedTuple):
    """The resize and center crop that published weights were trained with."""

    resize: int  # pixels of the shorter side, before the center is cut out
    interpolation: str  # of that resize: 'bilinear' or 'bicubic'


class ImagePreparation(NamedTuple):
    """The square that a file's pixels are brought to, and their filter, before the network's own resize."""

    size: int  # pixels a side of the square
    denoise: str = 'none'  # one of alljax.data.denoise's filters
    photograph: Photograph | None = None  # None for the crop of one cell, which is made square by its mirror image


class CellPreparation(NamedTuple):
    """The changes of light, stain and surroundings that every cell goes through after that, in this order."""

    stain: str = 'none'  # one of alljax.data.stain's normalizations
    stain_target: tuple[float, ...] = ()  # what it brings a picture to: numbers of the training cells
    mask: str = 'none'  # the classical system by which the cell is found
    mask_part: str = 'cell'  # what of it stays: 'cell' or 'nucleus'
    mask_fill: str = 'white'  # what is put in the place of the rest: 'white' (255) or 'blur'
    crop: int = 0  # pixels a side of the square around the nucleus, at the size of ImagePreparation; 0 for the whole
    segmentation: int = SEGMENTATIONS[-1]  # the version of the search for the cell, by mask or crop


UNCHANGED = CellPreparation()
