"""Files of Caffe (.caffemodel), read without Caffe: the weights of its layers.

A file is one protocol buffer, a NetParameter of src/caffe/proto/caffe.proto; only the fields that are needed are
declared here.
"""

import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from alljax.weights.file_errors import AGAIN, UnreadableFile, as_user_errors, excerpt

# A blob's numbers are declared as the bytes that they are in the file, for NumPy to read: a list of floats would make a
# Python object of each. They are `parts` because a writer may cut them. Names are bytes because in a damaged file they
# are no text.
MESSAGES = {
    'Net': {'layers': (2, 'OldLayers'), 'layer': (100, 'Layers')},
    'OldLayers': {'name': (4, 'bytes'), 'type': (5, 'number'), 'blobs': (6, 'Blobs')},
    'Layers': {'name': (1, 'bytes'), 'type': (2, 'bytes'), 'blobs': (7, 'Blobs')},
    'Blobs': {
        'num': (1, 'number'),
        'channels': (2, 'number'),
        'height': (3, 'number'),
        'width': (4, 'number'),
        'data': (5, 'parts'),
        'shape': (7, 'Shape'),
        'double_data': (8, 'parts'),
    },
    'Shape': {'dim': (1, 'numbers')},
}
FIELD = descriptor_pb2.FieldDescriptorProto
TYPES = {
    'bytes': FIELD.TYPE_BYTES,
    'parts': FIELD.TYPE_BYTES,
    'number': FIELD.TYPE_INT64,  # on the wire the same as int32 and an enumeration
    'numbers': FIELD.TYPE_INT64,
}
INNER_PRODUCT = (14, b'InnerProduct')
AXES = 32  # that a blob has at most
LARGEST = 2**31  # bytes of a protocol buffer


def read(path: Path) -> dict[str, np.ndarray]:
    """Tensors by layer: 'conv1.weight' and 'conv1.bias' are the blobs 0 and 1 of layer conv1, 'conv1.2' is blob 2.

    Weights of inner products are [out, in] and biases [out], without the axes of one that old files put before them.
    The arrays are read-only. UserError if the file is damaged, or is none of Caffe.
    """
    with as_user_errors(path, 'a .caffemodel'):
        return _tensors(_parse(path))


def _parse(path: Path) -> Any:
    size = path.stat().st_size
    if not 0 < size < LARGEST:
        raise UnreadableFile(f'has {size} bytes, expected a .caffemodel of 1 to {LARGEST}; {AGAIN}')
    raw = path.read_bytes()
    try:
        return _network().FromString(raw)
    except DecodeError:
        head = excerpt(raw[:16].decode('latin-1'))
        raise UnreadableFile(f'is damaged or truncated, or no .caffemodel (it starts with {head!r}); {AGAIN}') from None


def _tensors(network: Any) -> dict[str, np.ndarray]:
    tensors: dict[str, np.ndarray] = {}
    for layer in (*network.layers, *network.layer):
        for index, blob in enumerate(layer.blobs):
            name = f'{layer.name.decode(errors="replace")}.{("weight", "bias", index)[min(index, 2)]}'
            if name in tensors:
                raise UnreadableFile(f'holds {excerpt(name)} twice, expected each layer once; {AGAIN}')
            tensors[name] = _array(excerpt(name), blob, 1 if index else 2 if layer.type in INNER_PRODUCT else AXES)
    if not tensors:
        raise UnreadableFile(
            'holds no layers with weights, expected those of a .caffemodel; get it again, or if it is of 2013, '
            "bring it up to date with Caffe's upgrade_net_proto_binary"
        )
    return tensors


def _array(name: str, blob: Any, axes: int) -> np.ndarray:
    """A blob's numbers, of no more than `axes` axes if those before them are of one."""
    old = (blob.num, blob.channels, blob.height, blob.width)
    shape = tuple(blob.shape.dim) if blob.HasField('shape') else old
    parts, dtype = (blob.double_data, np.dtype('<f8')) if blob.double_data else (blob.data, np.dtype('<f4'))
    data = b''.join(parts)
    if len(shape) > AXES or min(shape, default=1) < 1 or math.prod(shape) * dtype.itemsize != len(data):
        raise UnreadableFile(
            f'holds {len(data)} bytes of {name}, expected {dtype} of shape {excerpt(str(shape))}; {AGAIN}'
        )
    while len(shape) > axes and shape[0] == 1:
        shape = shape[1:]
    return np.frombuffer(data, dtype).reshape(shape)


@cache
def _network() -> Any:
    """The class of a NetParameter with the fields of MESSAGES."""
    file = descriptor_pb2.FileDescriptorProto(name='caffe.proto')
    for message, fields in MESSAGES.items():
        declared = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            one = kind in ('bytes', 'number', 'Shape')
            field = declared.field.add(
                name=name, number=number, label=FIELD.LABEL_OPTIONAL if one else FIELD.LABEL_REPEATED
            )
            if kind in TYPES:
                field.type = TYPES[kind]
            else:
                field.type, field.type_name = FIELD.TYPE_MESSAGE, kind
    # A pool of its own, because a program that has Caffe or TensorFlow may have another caffe.proto.
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName('Net'))
