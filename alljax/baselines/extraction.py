"""From pictures to rows of features: every cell on its own, on all cores, and never twice."""

import hashlib
import inspect
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import Any, NamedTuple, TypeVar

import joblib
import numpy as np
from jaxtyping import Bool, Float, UInt8

from alljax.baselines import features
from alljax.baselines.features import FEATURES, NETWORK, Measurement
from alljax.baselines.preprocess import PREPROCESS, Filter
from alljax.baselines.segment import SEGMENTS, Parts, Segmentation, cut_out, unet
from alljax.baselines.systems import WHOLE, System
from alljax.data.image import RgbImage
from alljax.errors import UserError, nearest
from alljax.storage import feature_cache
from alljax.storage.image_preparation import SEGMENTATIONS

Images = UInt8[np.ndarray, 'cells height width 3']
Part = TypeVar('Part')
CHUNK = 512  # pictures that are measured on all cores before what there is is saved
WEIGHTS = 'weights'  # the argument of a segmentation by a network
FEW = 16  # items that are done before other processes would have started
PACKAGE = 'alljax.baselines.'
CODE = ('extraction.py', 'fuzzy_clustering.py', 'preprocess.py', 'segment', 'features')  # on which a row depends


class Rows(NamedTuple):
    """Features measured on each cell, and how long it took one core."""

    values: Float[np.ndarray, 'cells features']
    found: Bool[np.ndarray, ' cells']  # True where the segmentation found a cell
    segmentation: float  # median seconds a cell, preprocessing included
    features: float  # median seconds a cell


class Extractor(NamedTuple):
    """A system's parts as functions: other processes do not know the names of parts that the user added in this one."""

    preprocess: tuple[Filter, ...]
    segmentation: Segmentation
    measurements: tuple[Measurement, ...]


def make_extractor(system: System) -> Extractor:
    """The parts of a system in this process; UserError for names that are not in their dictionaries."""
    problems: list[str] = []
    segments: Mapping[str, Segmentation] = {WHOLE: whole_picture, **SEGMENTS}
    named = [name for name in system.features if name != NETWORK]
    filters = _named('filter', system.preprocess, PREPROCESS, problems)
    segmentation = _named('segmentation', (system.segment,), segments, problems)
    measurements = _named('measurement', named, FEATURES, problems)
    if problems:
        raise UserError(*problems)
    return Extractor(filters, _with_weights(_of_version(segmentation[0], system.segmentation), system), measurements)


def _of_version(segmentation: Segmentation, wanted: int) -> Segmentation:
    """The segmentation as an earlier version did it; the very same for one of the user's own, which has no versions."""
    if wanted == SEGMENTATIONS[-1] or 'version' not in inspect.signature(segmentation).parameters:
        return segmentation
    return partial(segmentation, version=wanted)


def takes_weights(segmentation: Segmentation) -> bool:
    """True for a segmentation by a network, whose weights may be the user's own."""
    return WEIGHTS in inspect.signature(segmentation).parameters


def _with_weights(segmentation: Segmentation, system: System) -> Segmentation:
    if not system.weights:
        return segmentation
    if not takes_weights(segmentation):
        raise UserError(f'weights {system.weights}: the segmentation {system.segment} has none; leave them out')
    unet.read(Path(system.weights))  # UserError here, and not in each of many processes
    return partial(segmentation, weights=Path(system.weights))


def rows(system: System, images: Images, folder: Path | None = None, chunk: int = CHUNK) -> Rows:
    """The features of each picture, from the `folder` (if any) where it has them, else computed and added to it.

    They are kept by `key` and each picture's pixels: runs that share these share the features, whatever their splits.
    The seconds are those of the time when they were computed. A bar on the terminal moves after each `chunk` pictures.
    """
    extractor = make_extractor(system)
    name = key(system, extractor) if folder else None
    if folder and name:
        table = feature_cache.by_picture(
            folder / name, images, lambda missing: _measured(extractor, images[missing]), chunk
        )
    else:
        table = _measured(extractor, images)
    return Rows(table[:, 2:], table[:, 2].astype(bool), *(float(value) for value in np.median(table[:, :2], axis=0)))


def feature_names(extractor: Extractor) -> list[str]:
    """The name of each column of `Rows.values`."""
    blank = np.zeros((16, 16, 3), np.uint8)
    return list(features.measure(blank, segment(blank, extractor), extractor.measurements))


def segment(image: RgbImage, extractor: Extractor) -> Parts:
    """The central cell of a picture, as the segmentation finds it in the filtered picture.

    What is around a cell that was cut out is seen by no filter either.
    """
    if not extractor.preprocess:
        return extractor.segmentation(image)
    image, blank = cut_out.on_glass(image)
    for change in extractor.preprocess:
        image = change(image)
    return cut_out.without(extractor.segmentation(image), blank)


def whole_picture(image: RgbImage) -> Parts:
    """The whole picture as a nucleus: no segmentation."""
    everything = np.ones(image.shape[:2], bool)
    return Parts(everything, ~everything)


def key(system: System, extractor: Extractor) -> str | None:
    """A short name for all that a row depends on besides the picture: the parts, their code, the libraries.

    The code of a user's part is its file, not what that file imports. None for a part whose code cannot be told: its
    rows are not kept.
    """
    room = Path(__file__).parent
    named = (system.preprocess, system.segment, system.features, system.segmentation)
    digest = hashlib.sha256(repr(named).encode())
    parts: tuple[Callable[..., Any], ...] = (*extractor.preprocess, extractor.segmentation, *extractor.measurements)
    for part in parts:
        code = _code(part)
        if code is None:
            return None
        digest.update(code)
    for library in ('numpy', 'scipy', 'scikit-image', 'scikit-learn'):
        digest.update(version(library).encode())
    if system.weights:
        digest.update(Path(system.weights).read_bytes())
    for place in CODE:
        files = [*(room / place).rglob('*.py'), *(room / place).rglob('*.safetensors')]
        for file in sorted(files) or [room / place]:
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def on_all_cores(work: Callable[..., Any], items: Sequence[Any] | Images, *rest: object) -> list[Any]:
    """`work(item, *rest)` of every item, such as pictures, on all cores if there are many."""
    if len(items) < FEW:
        return [work(item, *rest) for item in items]
    return list(joblib.Parallel(n_jobs=-1)(joblib.delayed(work)(item, *rest) for item in items))


def _named(kind: str, names: Sequence[str], known: Mapping[str, Part], problems: list[str]) -> tuple[Part, ...]:
    problems += [
        f'there is no {kind} {name!r}{nearest(name, known)}; if it is your own, run its file first, as --config does'
        for name in names
        if name not in known
    ]
    return tuple(known[name] for name in names if name in known)


def _code(part: Callable[..., Any]) -> bytes | None:
    """A function's name, with its file if that is not of this package; None if that does not tell all that it does."""
    while isinstance(part, partial) and not part.args and part.keywords.keys() <= {'version', WEIGHTS}:
        part = part.func  # of a version and of weights that the key names
    if not isinstance(part, FunctionType):
        return None  # an object or a partial function: it has values of its own
    name = f'{part.__module__}.{part.__qualname__}'.encode()
    if str(part.__module__).startswith(PACKAGE):
        return name  # in CODE
    file = Path(part.__code__.co_filename)
    return name + file.read_bytes() if file.is_file() and not part.__closure__ else None


def _measured(extractor: Extractor, images: Images) -> Float[np.ndarray, 'cells columns']:
    return np.stack(on_all_cores(_row, images, extractor))


def _row(image: RgbImage, extractor: Extractor) -> Float[np.ndarray, ' columns']:
    """Seconds of segmentation, seconds of measuring, and the features."""
    start = time.perf_counter()
    parts = segment(image, extractor)
    middle = time.perf_counter()
    values = list(features.measure(image, parts, extractor.measurements).values())
    return np.array([middle - start, time.perf_counter() - middle, *values])
