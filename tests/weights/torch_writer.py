"""Writes files of torch.save by hand, honest and forged ones, where torch need not be installed."""

import io
import pickle
import struct
import zipfile
from typing import NamedTuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
KINDS = {'float32': 'Float', 'float64': 'Double', 'float16': 'Half', 'bfloat16': 'BFloat16', 'bool': 'Bool',
         'uint8': 'Byte', 'int8': 'Char', 'int16': 'Short', 'int32': 'Int', 'int64': 'Long'}  # fmt: skip


class Name(NamedTuple):
    """A global, as GLOBAL writes it."""

    module: str
    name: str


class Call(NamedTuple):
    """A call of a global, as REDUCE writes it."""

    function: object
    arguments: tuple


class Stored(NamedTuple):
    """A persistent id."""

    pid: tuple


class Raw(bytes):
    """Operations, as they are."""


ORDERED = Call(Name('collections', 'OrderedDict'), ())


def operations(value) -> bytes:
    """The pickle operations that put `value` on the stack."""
    match value:
        case Raw():
            return bytes(value)
        case Name(module, name):
            return f'c{module}\n{name}\n'.encode()
        case Call(function, arguments):
            return operations(function) + operations(arguments) + b'R'
        case Stored(pid):
            return operations(pid) + b'Q'
        case dict():
            return b'}(' + b''.join(operations(part) for item in value.items() for part in item) + b'u'
        case list():
            return b'](' + b''.join(map(operations, value)) + b'e'
        case tuple():
            return b'(' + b''.join(map(operations, value)) + b't'
    return pickle.dumps(value, 2)[2:-1]


def program(value) -> bytes:
    """A whole pickle of `value`."""
    return b'\x80\x02' + operations(value) + b'.'


def storage(key, dtype, count, *view) -> Stored:
    """A storage; `view` is [None] in the legacy format."""
    return Stored(('storage', Name('torch', f'{KINDS[dtype]}Storage'), key, 'cpu', count, *view))


def tensor(key, dtype, count, size, stride, offset=0, *, view=()) -> Call:
    """A tensor over a storage of `count` elements."""
    arguments = (storage(key, dtype, count, *view), offset, size, stride, False, ORDERED)
    return Call(Name('torch._utils', '_rebuild_tensor_v2'), arguments)


def whole(key, array, *, view=()) -> Call:
    """A tensor that is a whole storage in C order."""
    stride = tuple(step // array.itemsize for step in array.strides)
    return tensor(key, array.dtype.name, array.size, array.shape, stride, view=view)


def archive(path, content, storages=None, *, data=None, method=zipfile.ZIP_STORED, **records):
    """Writes a zip file of torch.save; `content` is a value, or its pickle's bytes."""
    with zipfile.ZipFile(path, 'w', method) as file:
        file.writestr('archive/data.pkl', content if type(content) is bytes else program(content))
        for name, record in records.items():
            file.writestr(f'archive/{name}', record)
        for key, array in (storages or {}).items():
            file.writestr(f'archive/data/{key}', np.asarray(array).tobytes())
    return path


def legacy(path, content, storages=None, *, little=True, protocol=2):
    """Writes a file of torch.save before 1.6; the keys of `storages` come sorted, as there."""
    out = io.BytesIO()
    for value in (MAGIC, 1001, {'protocol_version': 1001, 'little_endian': little, 'type_sizes': {'int': 4}}):
        out.write(pickle.dumps(value, protocol))
    out.write(content if type(content) is bytes else program(content))
    out.write(pickle.dumps(sorted(storages or {}), protocol))
    for key in sorted(storages or {}):
        array = np.asarray(storages[key])
        out.write(struct.pack('<q', array.size) + array.tobytes())
    path.write_bytes(out.getvalue())
    return path
