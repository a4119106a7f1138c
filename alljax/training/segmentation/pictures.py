"""Pictures with true masks, as the U-Net learns from them: drawn ones, and those that a user masked."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image

from alljax.baselines import mask_files
from alljax.baselines.extraction import on_all_cores
from alljax.baselines.segment import unet
from alljax.baselines.segment.central_cell import Mask
from alljax.baselines.segment.cut_out import on_glass
from alljax.data import image, image_files
from alljax.data.image import RgbImage, to_square
from alljax.data.synthetic.varied import draw_varied
from alljax.errors import UserError, some
from alljax.storage import progress_bar

AT_ONCE = 200  # cells that are drawn between two moves of the bar
LEAST_WINDOW = 0.6  # of the side: the narrowest square that is cut around a masked cell


class MaskedPicture(NamedTuple):
    """A picture of any size, and where the nucleus and the cell in its middle are."""

    image: RgbImage
    nucleus: Mask
    cell: Mask


class Pictures(NamedTuple):
    """Pictures at the size that the network sees."""

    images: UInt8[np.ndarray, 'cells side side 3']
    light: Float32[np.ndarray, 'cells 3']
    masks: UInt8[np.ndarray, 'cells side side 3']  # background, cytoplasm, nucleus: each 0 to 255, in all 255


def drawn(cells: int, seed: int) -> list[MaskedPicture]:
    """Cells drawn in all light and stain; each depends on nothing but the seed and its number."""
    found: list[MaskedPicture] = []
    with progress_bar.shown('drawing', cells, ' cells') as bar:
        while len(found) < cells:
            numbers = range(len(found), min(len(found) + AT_ONCE, cells))
            found += on_all_cores(_drawn, numbers, seed)
            bar.update(len(numbers))
    return found


def masked(root: Path, masks: Path) -> list[MaskedPicture]:
    """The pictures at a place with the user's own masks; UserError with all problems of both."""
    files, pictures, problems = image_files.files([root]), [], []
    for file in files:
        try:
            pictures.append(image.read(file).pixels)
        except image.ImageError as error:
            problems.append(f'{file}: {error}')
    if problems:
        raise UserError(*problems)
    known = mask_files.read(root, files, pictures, masks)
    found = []
    for file, picture, truth in zip(files, pictures, known.truth, strict=True):
        if truth is None:
            continue
        if truth.nucleus is None or truth.cell is None:
            problems.append(file.name)
        else:
            found.append(MaskedPicture(picture, truth.nucleus, truth.cell | truth.nucleus))
    if problems:
        raise UserError(
            f'--masks {masks}: has one of nucleus and cell for {some(problems, 4)}, expected both: masks of three '
            'levels, or x_nucleus.png beside x.png'
        )
    return found


def stacked(pictures: Sequence[MaskedPicture]) -> Pictures:
    """The pictures and their masks at the size that the network sees; cut-outs are laid on glass."""
    every = [_sized(picture) for picture in pictures]
    return Pictures(*(np.stack(parts) for parts in zip(*every, strict=True)))


def windows(pictures: Sequence[MaskedPicture], count: int, seed: int) -> list[MaskedPicture]:
    """So many pictures, each of the given ones as often as any other, cut to a square somewhere around its cell.

    So that a cell is learned at more than one size and place.
    """
    rng = np.random.default_rng([seed, 1])
    return [_window(pictures[number % len(pictures)], rng) for number in range(count)]


def _drawn(number: int, seed: int) -> MaskedPicture:
    found = draw_varied(np.random.default_rng([seed, number])).drawing
    return MaskedPicture(found.image, found.nucleus, found.nucleus | found.cytoplasm)


def _sized(picture: MaskedPicture) -> tuple[RgbImage, np.ndarray, RgbImage]:
    shown, _ = on_glass(picture.image)
    pixels = to_square(shown, unet.SIDE)
    nucleus = picture.nucleus
    levels = 255 * np.stack([~picture.cell, picture.cell & ~nucleus, nucleus], -1).astype(np.uint8)
    padded = to_square(levels, max(levels.shape))
    masks = np.asarray(Image.fromarray(padded).resize((unet.SIDE, unet.SIDE), Image.Resampling.BOX))
    return pixels, unet.light(pixels).astype(np.float32), masks


def _window(picture: MaskedPicture, rng: np.random.Generator) -> MaskedPicture:
    height, width = picture.cell.shape
    rows, columns = (np.flatnonzero(picture.cell.any(axis)) for axis in (1, 0))
    if not len(rows):
        return picture
    reach = max(np.ptp(rows), np.ptp(columns)) + 1
    side = int(
        np.clip(rng.uniform(LEAST_WINDOW, 1) * min(height, width), min(reach, height, width), min(height, width))
    )
    top, left = (
        int(np.clip((places[0] + places[-1]) / 2 - side / 2 + rng.normal(0, 0.03) * side, 0, length - side))
        for places, length in ((rows, height), (columns, width))
    )
    cut = (slice(top, top + side), slice(left, left + side))
    return MaskedPicture(*(layer[cut] for layer in picture))
