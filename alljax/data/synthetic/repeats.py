"""Two pictures of one cell, as data sets come to hold them: the truth that an audit is measured against."""

import io

import numpy as np
import scipy
from jaxtyping import UInt8
from PIL import Image

from alljax.data.image import RgbImage

KINDS = ('same file', 'same pixels', 'shifted', 'rotated', 'mirrored', 're-encoded', 're-lit', 'everything')
SHIFT = 1 / 8  # of the side, at most

Window = UInt8[np.ndarray, 'h w 3']  # of another size


def plant(image: UInt8[np.ndarray, 'height width 3'], kind: str, rng: np.random.Generator) -> tuple[Window, Window]:
    """Make two pictures out of one, the second altered as `kind` says; ValueError for a kind that is none of KINDS.

    Shifted pictures are two windows of 7/8 of the side, so that each shows something the other does not. The corners
    of a rotated one are filled by reflection, as augmentation does. 'same file' and 'same pixels' return equal arrays.
    """
    match kind:
        case 'same file' | 'same pixels':
            return image, image.copy()
        case 'shifted':
            return _shifted(image, rng)
        case 'rotated':
            return image, _rotated(image, rng)
        case 'mirrored':
            return image, np.flip(image, int(rng.integers(2))).copy()
        case 're-encoded':
            return image, _encoded(image, rng)
        case 're-lit':
            return image, _lit(image, rng)
        case 'everything':
            first, second = _shifted(image, rng)
            return first, _encoded(_lit(_rotated(second[:, ::-1], rng), rng), rng)
    raise ValueError(f'{kind!r} is no kind of repeat; expected one of {", ".join(KINDS)}')


def _shifted(image: RgbImage, rng: np.random.Generator) -> tuple[Window, Window]:
    """Cut two windows whose displacement is at least half of the most that fits, along one axis or both."""
    room = np.maximum(1, (np.array(image.shape[:2]) * SHIFT).astype(int))
    step = np.round(room * rng.uniform(-1, 1, 2)).astype(int)
    axis = int(rng.integers(2))
    step[axis] = round(int(room[axis]) * rng.uniform(0.5, 1)) * rng.choice((-1, 1))
    height, width = np.array(image.shape[:2]) - room
    windows = []
    for way in (1, -1):
        top, left = np.maximum(0, way * step)
        windows.append(image[top : top + height, left : left + width].copy())
    return windows[0], windows[1]


def _rotated(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    return scipy.ndimage.rotate(image, rng.uniform(0, 360), reshape=False, order=1, mode='mirror')


def _encoded(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, 'JPEG', quality=int(rng.integers(50, 91)))
    return np.asarray(Image.open(stream))


def _lit(image: RgbImage, rng: np.random.Generator) -> RgbImage:
    """Change gamma, contrast and brightness, and each channel a little on its own."""
    gamma, contrast = np.exp(rng.uniform(-0.25, 0.25, 2))
    gain = rng.uniform(0.85, 1.15) * rng.uniform(0.93, 1.07, 3)
    value = (image / 255.0) ** gamma
    middle = value.mean()
    return (np.clip((middle + contrast * (value - middle)) * gain, 0, 1) * 255 + 0.5).astype(np.uint8)
