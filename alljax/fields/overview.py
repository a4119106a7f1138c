"""A whole field as a picture that a screen can show, read strip by strip, so that a whole slide fits in memory."""

import io
import math

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from alljax.fields.field_image import FieldImage
from alljax.fields.survey import averaged

STRIP = 64  # rows of the small picture that are read at once
QUALITY = 82  # of JPEG

RgbImage = UInt8[np.ndarray, 'height width 3']


def of_field(field: FieldImage, longest: int) -> tuple[RgbImage, float]:
    """The field at most `longest` pixels a side, and how many of its pixels one of the picture stands for."""
    step = max(1, math.ceil(max(field.width, field.height) / longest))
    rows: list[RgbImage] = []
    for top in range(0, field.height, STRIP * step):
        height = min(STRIP * step, field.height - top)
        if height >= step or not rows:
            strip = averaged(field.window(0, top, field.width, height), step)
            rows.append(np.rint(strip).astype(np.uint8))
    return np.concatenate(rows), float(step)


def jpeg(picture: RgbImage) -> bytes:
    """The bytes of a JPEG file."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, 'JPEG', quality=QUALITY)
    return stream.getvalue()
