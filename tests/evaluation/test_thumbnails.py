"""Small pictures of cells."""

import base64
import io

import numpy as np
from PIL import Image

from alljax.evaluation import thumbnails


def test_thumbnail_is_a_small_jpeg_of_the_same_shape():
    image = np.zeros((128, 256, 3), np.uint8)
    image[:, :128] = 255, 0, 0
    found = Image.open(io.BytesIO(thumbnails.thumbnail(image)))
    assert (found.format, found.size) == ('JPEG', (64, 32))
    pixels = np.asarray(found.convert('RGB')).astype(int)
    assert np.abs(pixels[8, 8] - (255, 0, 0)).max() < 10
    assert pixels[8, 55].max() < 10


def test_small_picture_is_not_blown_up():
    assert Image.open(io.BytesIO(thumbnails.thumbnail(np.full((20, 30, 3), 90, np.uint8)))).size == (30, 20)


def test_address_holds_the_bytes():
    head, _, content = thumbnails.jpeg_uri(b'abc').partition(',')
    assert (head, base64.b64decode(content)) == ('data:image/jpeg;base64', b'abc')
