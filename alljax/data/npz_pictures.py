"""Pictures in the arrays of a NumPy archive, as if each were a file: 'set.npz/train/00017' is train_images[17]."""

from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from alljax.data.picture import ImageError, Picture

SUFFIX = '.npz'
KEPT = 3  # arrays in memory, as many as the sides of a split
_reading = Lock()  # for an array is gigabytes, and each thread would read its own


class Place(NamedTuple):
    """A picture in an archive."""

    archive: Path
    array: str  # 'train_images'
    number: int


def name(archive: str, side: str, number: int) -> str:
    """The name, as of a file, of a picture in `{side}_images` of an archive."""
    return f'{archive}/{side}/{number:05d}'


def place(path: Path) -> Place | None:
    """The place that a path of three parts means, from the archive on; None for a path of a file."""
    parts = path.parts[-3:]
    if len(parts) < 3 or not parts[0].lower().endswith(SUFFIX) or not parts[2].isdecimal():
        return None
    archive = path.parent.parent
    return Place(archive, f'{parts[1]}_images', int(parts[2])) if archive.is_file() else None


def read(found: Place) -> Picture:
    """A picture of an archive; ImageError if there is none, or it has no three channels of 8 bits."""
    pixels = _pixels(found)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ImageError(f'is {pixels.dtype} of {pixels.shape}, expected RGB of 8 bits; replace it by an intact copy')
    return Picture(np.ascontiguousarray(pixels), '', bool((pixels == pixels[..., :1]).all()))


def content(found: Place) -> bytes:
    """The bytes of a picture's pixels, which stand for those of a file."""
    return _pixels(found).tobytes()


def array(archive: Path, key: str) -> np.ndarray:
    """An array of an archive; ImageError for a file that is no archive, and for one without it.

    Nothing in it is run: arrays of Python objects are refused.
    """
    try:
        stat = archive.stat()
        with _reading:
            return _array(archive, key, stat.st_mtime_ns, stat.st_size)
    except (OSError, ValueError, EOFError) as error:
        raise ImageError(f'is no NumPy archive that can be read ({error}); replace it by an intact copy') from None
    except KeyError:
        raise ImageError(f'has no array {key}; replace it by an intact copy') from None
    except Exception as error:  # zipfile and zlib raise their own kinds for a damaged archive
        raise ImageError(f'is damaged ({error}); replace it by an intact copy') from None


@lru_cache(maxsize=KEPT)
def _array(archive: Path, key: str, changed: int, size: int) -> np.ndarray:
    """The array of an archive in one state, by the time of its change and its size."""
    with np.load(archive, allow_pickle=False) as arrays:
        return arrays[key]


def _pixels(found: Place) -> UInt8[np.ndarray, '...']:
    pictures = array(found.archive, found.array)
    if not found.number < len(pictures):
        raise ImageError(f'is beyond the {len(pictures)} pictures of {found.array}; replace it by an intact copy')
    return pictures[found.number]
