"""Writes .caffemodel files byte by byte (protobuf.dev/programming-guides/encoding)."""

from itertools import pairwise

import numpy as np

NUMBERS = {'CONVOLUTION': 4, 'INNER_PRODUCT': 14, 'RELU': 18}  # of V1LayerParameter.LayerType
OLD = ('num', 'channels', 'height', 'width')


def varint(number):
    number %= 2**64
    parts = []
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    return bytes([*parts, number])


def integer(field, number):
    return varint(field << 3) + varint(number)


def content(field, value):
    value = value.encode() if isinstance(value, str) else bytes(value)
    return varint(field << 3 | 2) + varint(len(value)) + value


def blob(array, *, old=False, shape=None, parts=1):
    """A BlobProto; its shape as four numbers if `old`, and its data in `parts`."""
    array = np.asarray(array)
    shape = array.shape if shape is None else shape
    if old:
        four = (1,) * (4 - len(shape)) + tuple(shape)
        declared = b''.join(integer(field, size) for field, size in enumerate(four, 1))
    else:
        declared = content(7, content(1, b''.join(map(varint, shape))))
    field = {'float32': 5, 'float64': 8}[array.dtype.name]
    raw = array.tobytes()
    cuts = np.linspace(0, len(raw), parts + 1).astype(int)
    # Gradients are stored beside the data by some, and are none of our business.
    gradient = content(6, bytes(8))
    return gradient + b''.join(content(field, raw[a:b]) for a, b in pairwise(cuts)) + declared


def layer(name, kind, *blobs):
    """A layer of today's NetParameter."""
    body = content(1, name) + content(2, kind) + content(3, 'below') + content(4, name)
    return content(100, body + b''.join(content(7, b) for b in blobs))


def old_layer(name, kind, *blobs):
    """A layer of the NetParameter of 2014."""
    body = content(2, 'below') + content(3, name) + content(4, name) + integer(5, NUMBERS[kind])
    return content(2, body + b''.join(content(6, b) for b in blobs))


def write(path, *layers):
    """A NetParameter."""
    path.write_bytes(content(1, 'AlexNet') + content(3, 'data') + b''.join(layers))
    return path
