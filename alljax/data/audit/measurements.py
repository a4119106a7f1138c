"""Measurements of every file: its digests, what is known of it without looking at the cell, small images to compare."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Float16, Float32, Float64, Int64, UInt8
from PIL import Image

from alljax.data import image
from alljax.data.audit import overlays
from alljax.data.audit.unrolled import Harmonics, Unrolled, views
from alljax.data.in_order import in_order
from alljax.errors import UserError

FINE, COARSE = 128, 64  # pixels a side of the images that are compared; the longer side of a crop fills them
AT_ONCE = 32  # files measured together
BORDER = 8  # outer pixels of a crop, where no cell is
BAND = (0.8, 3.0)  # deviations in pixels: detail is what the first blur leaves and the second removes
FOCUS = ((1.0, 2.0), (3.0, 6.0))  # deviations in pixels of the blurs that bound fine and coarse detail

GrayImage = Float32[np.ndarray, 'side side']
Mask = Bool[np.ndarray, 'side side']


class FileMeasurements(NamedTuple):
    """Measurements of one file that are kept."""

    file_digest: str
    pixel_digest: str
    size: int  # bytes
    shape: tuple[int, int]  # height and width
    color: Float64[np.ndarray, '6']  # mean and deviation of red, green, blue
    border: Float64[np.ndarray, '6']
    overlays: Float64[np.ndarray, '3']


class Measurements(NamedTuple):
    """Measurements of all files, in their order."""

    home: Path
    files: tuple[str, ...]  # from `home`
    file_digests: tuple[str, ...]
    pixel_digests: tuple[str, ...]
    sizes: Int64[np.ndarray, ' cells']
    shapes: Int64[np.ndarray, 'cells 2']
    color: Float64[np.ndarray, 'cells 6']
    border: Float64[np.ndarray, 'cells 6']
    overlays: Float64[np.ndarray, 'cells 3']  # bars and letters drawn over the picture, as overlays.measure gives them
    unrolled: Unrolled


class SmallImages(NamedTuple):
    """A picture as it is laid on another, and what tells how the two differ."""

    shape: tuple[int, int]  # height and width of the picture
    density: Float16[np.ndarray, 'coarse coarse']  # optical, of green
    detail: Float32[np.ndarray, 'coarse coarse']  # what remains of it between two blurs
    fine: Float16[np.ndarray, 'fine fine']  # the same at FINE pixels
    sharpness: float  # logarithm of the share of the finest detail


class _Read(NamedTuple):
    """Files that were read together: measurements, or what is wrong with them, and the views of those measured."""

    results: list[FileMeasurements | str]
    views: tuple[Harmonics, Harmonics] | None


def measure_files(
    home: Path,
    files: Sequence[str],
    track: Callable[[Iterable[FileMeasurements | str]], Iterable[FileMeasurements | str]] = iter,
) -> Measurements:
    """Measure all files; `track` may show progress. UserError with every file that is no picture."""
    unrolled = Unrolled(len(files))

    def measured() -> Iterator[FileMeasurements | str]:
        for part in in_order(partial(_measure_some, home), _parts(files)):
            if part.views:
                unrolled.add(part.views)
            yield from part.results

    results = list(track(measured()))
    problems = [item for item in results if isinstance(item, str)]
    if problems:
        raise UserError(*problems)
    columns = list(zip(*(item for item in results if isinstance(item, FileMeasurements)), strict=True))
    sizes, shapes, color, border, marks = (np.array(column) for column in columns[2:])
    return Measurements(home, tuple(files), columns[0], columns[1], sizes, shapes, color, border, marks, unrolled)


def small_images(home: Path, file: str) -> SmallImages:
    """The small images of a file; UserError if it is no picture, or no longer."""
    try:
        pixels = image.read(home / file).pixels
    except image.ImageError as error:
        raise UserError(f'{file}: {error}') from None
    shape = (pixels.shape[0], pixels.shape[1])
    coarse, fine = density(pixels, COARSE), detail(density(pixels, FINE), shape)
    return SmallImages(
        shape, coarse.astype(np.float16), detail(coarse, shape), fine.astype(np.float16), sharpness(pixels)
    )


def border_colors(pixels: UInt8[np.ndarray, 'height width 3']) -> Float64[np.ndarray, '6']:
    """Mean and deviation of red, green and blue in the outer pixels of a crop, where no cell is."""
    return _statistics(pixels[_border((pixels.shape[0], pixels.shape[1]))])


def density(pixels: UInt8[np.ndarray, 'height width 3'], side: int) -> GrayImage:
    """The optical density of a crop's green channel, its longer side `side` pixels, in the middle of a square of 0.

    Density, because a camera's gain then is a mere offset and its gamma a factor; green, because a gain of single
    colors leaves it alone and both stains show in it.
    """
    box = _box((pixels.shape[0], pixels.shape[1]), side)
    size = (box[1].stop - box[1].start, box[0].stop - box[0].start)
    green = Image.fromarray(np.ascontiguousarray(pixels[..., 1])).resize(size, Image.Resampling.HAMMING)
    placed = np.zeros((side, side), np.float32)
    placed[box] = -np.log((np.asarray(green, np.float32) + 8) / 263)
    return placed


def detail(density: GrayImage, shape: tuple[int, int]) -> GrayImage:
    """Density between two blurs, evened out where the crop is rich in detail and 0 off its disk.

    Every white cell is a dark disk on pale ground; what tells one from another is smaller.
    """
    side = len(density)
    inside = disk(shape, side)
    band = (_blurred(density, shape, BAND[0]) - _blurred(density, shape, BAND[1])) * inside
    energy = _blurred(band * band, shape, 1.5 * BAND[1])
    return (band / np.sqrt(energy + (band * band).sum() / inside.sum() + 1e-8) * inside).astype(np.float32)


@lru_cache(maxsize=1024)
def disk(shape: tuple[int, int], side: int) -> Mask:
    """The compared part of a crop: its inscribed disk, because corners are the first to be cut or made up by a turn."""
    away = np.arange(side) - (side - 1) / 2
    inside = np.zeros((side, side), bool)
    box = _box(shape, side)
    inside[box] = (np.hypot(away[:, None], away) <= side / 2)[box]
    return inside


def sharpness(pixels: UInt8[np.ndarray, 'height width 3']) -> float:
    """The logarithm of fine detail over coarse detail, at the scale of the file, away from the border.

    Another light leaves it alone, and JPEG nearly; another focus does not.
    """
    density = -np.log((pixels[..., 1].astype(np.float32) + 8) / 263)
    height, width = density.shape
    margin = int(0.15 * min(height, width))
    inner = (slice(margin, height - margin), slice(margin, width - margin))
    fine, coarse = (
        (scipy.ndimage.gaussian_filter(density, first) - scipy.ndimage.gaussian_filter(density, second))[inner].std()
        for first, second in FOCUS
    )
    return float(np.log((fine + 1e-4) / (coarse + 1e-4)))


def _parts(files: Sequence[str]) -> Iterator[Sequence[str]]:
    return (files[start : start + AT_ONCE] for start in range(0, len(files), AT_ONCE))


def _measure_some(home: Path, files: Sequence[str]) -> _Read:
    results: list[FileMeasurements | str] = []
    details, densities = [], []
    for file in files:
        try:
            pixels, data = image.read(home / file).pixels, image.content(home / file)
        except image.ImageError as error:
            results.append(f'{file}: {error}')
            continue
        except OSError as error:
            results.append(f'{file}: cannot be read ({error.strerror}); correct its permissions')
            continue
        measured = _measure(pixels, data)
        coarse = density(pixels, COARSE)
        details.append(detail(coarse, measured.shape))
        densities.append(coarse.astype(np.float16))
        results.append(measured)
    return _Read(results, views(np.stack(details), np.stack(densities)) if details else None)


def _measure(pixels: UInt8[np.ndarray, 'height width 3'], data: bytes) -> FileMeasurements:
    shape = (pixels.shape[0], pixels.shape[1])
    return FileMeasurements(
        hashlib.sha256(data).hexdigest(),
        hashlib.sha256(repr(shape).encode() + pixels.tobytes()).hexdigest(),
        len(data),
        shape,
        _statistics(pixels.reshape(-1, 3)),
        border_colors(pixels),
        overlays.measure(pixels),
    )


def _box(shape: tuple[int, int], side: int) -> tuple[slice, slice]:
    longer = max(shape)
    height, width = (max(1, round(n * side / longer)) for n in shape)
    top, left = (side - height) // 2, (side - width) // 2
    return slice(top, top + height), slice(left, left + width)


def _blurred(picture: GrayImage, shape: tuple[int, int], deviation: float) -> GrayImage:
    """Blur within the disk, as if nothing were outside."""
    weight = _weight(shape, len(picture), deviation)
    return (
        scipy.ndimage.gaussian_filter(picture * disk(shape, len(picture)), deviation, mode='constant', truncate=3)
        / weight
    )


@lru_cache(maxsize=1024)
def _weight(shape: tuple[int, int], side: int, deviation: float) -> GrayImage:
    blurred = scipy.ndimage.gaussian_filter(
        disk(shape, side).astype(np.float32), deviation, mode='constant', truncate=3
    )
    return np.maximum(blurred, 1e-3)


@lru_cache(maxsize=1024)
def _border(shape: tuple[int, int]) -> Bool[np.ndarray, 'height width']:
    inner = np.zeros(shape, bool)
    inner[BORDER : shape[0] - BORDER, BORDER : shape[1] - BORDER] = True
    return ~inner


def _statistics(pixels: UInt8[np.ndarray, 'pixels 3']) -> Float64[np.ndarray, '6']:
    values = pixels.T.astype(np.float64, order='C')  # a channel after another, which is summed many times faster
    return np.concatenate([values.mean(1), values.std(1)])
