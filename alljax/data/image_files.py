"""Image files as a trained model takes them: found, read, made square and filtered."""

import logging
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from alljax.data import denoise, folder_walk, image
from alljax.data.folder_walk import HIDDEN, LeftOut
from alljax.storage.image_preparation import ImagePreparation, Photograph

__all__ = ['ImageFile', 'ImagePreparation', 'Photograph', 'Unread', 'files', 'fit', 'read']

log = logging.getLogger(__name__)


class ImageFile(NamedTuple):
    """A file that could be read."""

    path: Path
    pixels: UInt8[np.ndarray, 'side side 3']  # fitted and filtered, before the network's own size
    note: str  # what was converted while reading; '' if nothing was
    size: tuple[int, int]  # width and height of the picture in the file


class Unread(NamedTuple):
    """A file that could not be read, and why."""

    path: Path
    error: str


def files(paths: Iterable[Path], also: Collection[str] = (), beside: Collection[str] = ()) -> list[Path]:
    """Every file at the paths, in order; a folder stands for all images in it and below.

    Files that end like one of `also` are taken too. What a folder holds besides is logged, but for files that end like
    one of `beside`. A pipe or a device named as an image is among the images, for `read` to tell.
    """
    return [file for path in paths for file in _within(path, also, beside)]


def read(path: Path, preparation: ImagePreparation) -> ImageFile | Unread:
    """A file as a model takes it: a cell as cells were trained on, or a photograph."""
    try:
        if path.is_dir():
            return Unread(path, 'is a folder without images')
        picture = image.read(path)
        height, width = picture.pixels.shape[:2]
        filtered = denoise.filtered(fit(picture.pixels, preparation)[None], preparation.denoise)[0]
    except image.ImageError as error:
        return Unread(path, f'{error}')
    except MemoryError:
        return Unread(path, 'needs more memory than there is; crop it')
    except OSError as error:  # of a folder on the way that may not be entered
        return Unread(path, f'cannot be read ({error.strerror})')
    return ImageFile(path, filtered, picture.note, (width, height))


def fit(pixels: UInt8[np.ndarray, 'height width 3'], preparation: ImagePreparation) -> UInt8[np.ndarray, 'side side 3']:
    """Pixels in the square in which the model's cells were kept, or as published weights take a photograph."""
    if preparation.photograph is None:
        return image.to_square(pixels, preparation.size)
    return image.photograph(pixels, preparation.size, *preparation.photograph)


def _within(path: Path, also: Collection[str], beside: Collection[str]) -> list[Path]:
    if not path.is_dir():
        return [path]
    contents = folder_walk.walk(path)
    pictures, masks = folder_walk.images(path, contents)
    more = [file for file in contents.files if Path(file).suffix.lower() in also and not folder_walk.is_image(file)]
    known = tuple(beside)
    others = [
        file
        for file in contents.files
        if not folder_walk.is_image(file) and file not in more and not file.lower().endswith(known)
    ]
    special = [left.file for left in contents.left_out if left.reason != HIDDEN and folder_walk.is_image(left.file)]
    told = [*contents.unreadable, *masks, *(left for left in contents.left_out if left.file not in special)]
    for note in folder_walk.notes([*told, *(LeftOut(file, 'no image format that is read') for file in others)]):
        log.warning('%s: %s', path, note)
    found = sorted((*pictures, *more, *special), key=lambda file: file.split('/'))
    return [path / file for file in found] or [path]  # reading it says what is wrong
