"""The nucleus and the cell in each picture, as a classical system finds them: on all cores, and kept in a cache."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float16, UInt8

from alljax.baselines import extraction
from alljax.baselines.extraction import Extractor
from alljax.baselines.segment import Parts
from alljax.baselines.systems import SYSTEMS, WHOLE
from alljax.data.image import RgbImage
from alljax.storage import feature_cache
from alljax.storage.image_preparation import SEGMENTATIONS

Images = UInt8[np.ndarray, 'cells height width 3']
Packed = Float16[np.ndarray, 'cells bytes']  # eight pixels a number, 0 to 255: a cache keeps rows of numbers


def names() -> tuple[str, ...]:
    """The systems that look for a cell."""
    return tuple(name for name, make in SYSTEMS.items() if make().segment != WHOLE)


def packed(name: str, images: Images, folder: Path | None = None, segmentation: int = SEGMENTATIONS[-1]) -> Packed:
    """The parts that the system of this name finds in each picture, for `unpacked`.

    They are looked for in the `folder`, if any, and kept there; `segmentation` is the version of the search. UserError
    for a system with unknown parts.
    """
    system = SYSTEMS[name]()._replace(features=(), segmentation=segmentation)  # nothing is measured
    extractor = extraction.make_extractor(system)
    key = extraction.key(system, extractor) if folder else None
    if not folder or not key:
        return _found(images, extractor)
    place = folder / f'{key}-{images.shape[1]}x{images.shape[2]}'
    return feature_cache.by_picture(place, images, lambda missing: _found(images[missing], extractor), extraction.CHUNK)


def unpacked(row: Float16[np.ndarray, ' bytes'], shape: tuple[int, int]) -> Parts:
    """The parts of one picture of this height and width."""
    bits: Bool[np.ndarray, ' pixels'] = np.unpackbits(row.astype(np.uint8), count=2 * shape[0] * shape[1]).astype(bool)
    return Parts(*bits.reshape(2, *shape))


def _found(images: Images, extractor: Extractor) -> Packed:
    return np.stack(extraction.on_all_cores(_one, images, extractor))


def _one(image: RgbImage, extractor: Extractor) -> Float16[np.ndarray, ' bytes']:
    parts = extraction.segment(image, extractor)
    return np.packbits(np.stack([parts.nucleus, parts.cytoplasm])).astype(np.float16)
