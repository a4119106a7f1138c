"""From pictures to rows of features: every cell on its own, on all cores, and never twice."""

import hashlib
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
from jaxtyping import Bool, Float, UInt8

from alljax.baselines import features
from alljax.baselines.preprocess import prepared
from alljax.baselines.segment import SEGMENTS, Parts
from alljax.baselines.systems import WHOLE, System
from alljax.data.image import RgbImage
from alljax.storage import feature_cache

Images = UInt8[np.ndarray, 'cells height width 3']
FEW = 16  # items that are done before other processes would have started
CODE = ('extraction.py', 'fuzzy_clustering.py', 'preprocess.py', 'segment', 'features')  # what a row depends on


class Rows(NamedTuple):
    """What was measured on each cell, and how long it took one core."""

    values: Float[np.ndarray, 'cells features']
    found: Bool[np.ndarray, ' cells']  # whether the segmentation found a cell
    segmentation: float  # median seconds a cell, preprocessing included
    features: float  # median seconds a cell


def rows(system: System, images: Images, folder: Path | None = None) -> Rows:
    """The features of each picture, from the `folder` (if any) where it has them, else computed and added to it.

    They are kept by the code, the libraries, the system's parts and each picture's pixels: runs that share these share
    the features, whatever their splits. The seconds are those of the time when they were computed.
    """
    if folder:
        table = feature_cache.by_picture(
            folder / key(system), images, lambda missing: _measured(system, images[missing])
        )
    else:
        table = _measured(system, images)
    return Rows(table[:, 2:], table[:, 2].astype(bool), *(float(value) for value in np.median(table[:, :2], axis=0)))


def names(system: System) -> list[str]:
    """What each column of `Rows.values` is."""
    blank = np.zeros((16, 16, 3), np.uint8)
    return list(features.described(blank, segmented(blank, system), system.features))


def segmented(image: RgbImage, system: System) -> Parts:
    """Where the system finds the central cell."""
    if system.segment == WHOLE:
        everything = np.ones(image.shape[:2], bool)
        return Parts(everything, ~everything)
    return SEGMENTS[system.segment](prepared(image, system.preprocess))


def key(system: System) -> str:
    """A short name for all that a row depends on besides the picture."""
    room = Path(__file__).parent
    digest = hashlib.sha256(repr((system.preprocess, system.segment, system.features)).encode())
    for library in ('numpy', 'scipy', 'scikit-image', 'scikit-learn'):
        digest.update(version(library).encode())
    for part in CODE:
        for file in sorted((room / part).rglob('*.py')) or [room / part]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def each(work: Callable, items: Sequence[Any] | Images, *rest: object) -> list:
    """`work(item, *rest)` of every item, such as pictures, on all cores if there are many."""
    if len(items) < FEW:
        return [work(item, *rest) for item in items]
    return list(joblib.Parallel(n_jobs=-1)(joblib.delayed(work)(item, *rest) for item in items))


def _measured(system: System, images: Images) -> Float[np.ndarray, 'cells columns']:
    return np.stack(each(_row, images, system))


def _row(image: RgbImage, system: System) -> Float[np.ndarray, ' columns']:
    """Seconds of segmentation, seconds of measuring, and what was measured."""
    start = time.perf_counter()
    parts = segmented(image, system)
    middle = time.perf_counter()
    values = list(features.described(image, parts, system.features).values())
    return np.array([middle - start, time.perf_counter() - middle, *values])
