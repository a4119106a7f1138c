"""Small pictures of cells, of which a page can hold thousands."""

import base64
import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

SIDE = 64  # pixels of the longer side
QUALITY = 80  # of JPEG: about 2 kB a cell


def thumbnail(image: UInt8[np.ndarray, 'height width 3']) -> bytes:
    """The bytes of a JPEG file of a picture, 64 pixels along its longer side; a smaller one keeps its size."""
    stream = io.BytesIO()
    Image.fromarray(shrunk(image)).save(stream, 'JPEG', quality=QUALITY)
    return stream.getvalue()


def shrunk(image: UInt8[np.ndarray, 'height width 3']) -> UInt8[np.ndarray, 'rows columns 3']:
    """A picture, 64 pixels along its longer side; a smaller one keeps its size."""
    picture = Image.fromarray(image)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    return np.asarray(picture)


def jpeg_uri(jpeg: bytes) -> str:
    """A JPEG file's bytes as an address that holds the picture itself."""
    return 'data:image/jpeg;base64,' + base64.b64encode(jpeg).decode('ascii')
