"""Pickles of NumPy arrays in dictionaries, read so that nothing in them can run, import or fill the memory.

The names that they use are those of ndarray.__reduce__ and dtype.__reduce__ of NumPy 1 and 2.
"""

import io
import math
import pickletools
from pathlib import Path
from typing import Any

import numpy as np

from alljax.weights import restricted_pickle
from alljax.weights.file_errors import AGAIN, UnreadableFile, as_user_errors, excerpt
from alljax.weights.restricted_pickle import BYTES, PLAIN, Vocabulary

REMEDY = "save plain arrays of numbers with numpy.savez('weights.npz', **arrays), and read that file"
KINDS = ('f2', 'f4', 'f8', 'i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8', 'b1')
ARRAY = 'numpy.ndarray'  # stands for the class, which a pickle only hands to `_empty`
SCALAR = (None, None, None)  # a dtype's parts, names and fields, which numbers have not
LARGEST = 2**28  # bytes of a file; VGG16's convolutions take 2**26
STEPS = 100_000  # operations of a pickle; VGG16's takes a thousand


def read(path: Path) -> Any:
    """The object in a pickle: dict, list, tuple, str, numbers, bool, None, and arrays of numbers.

    UserError if the file holds anything else, is damaged, or is no pickle.
    """
    with as_user_errors(path, 'a pickle of NumPy arrays'):
        return _read(path)


def _read(path: Path) -> Any:
    size = path.stat().st_size
    if not 0 < size <= LARGEST:
        raise UnreadableFile(f'has {size} bytes, expected a pickle of arrays of 1 to {LARGEST}; {AGAIN}')
    raw = path.read_bytes()
    if not raw.startswith(b'\x80'):
        raise UnreadableFile(
            f'is no pickle of arrays (it starts with {excerpt(raw[:16].decode("latin-1"))!r}); {AGAIN}'
        )
    for step, _ in enumerate(pickletools.genops(io.BytesIO(raw))):  # a byte each can fill the memory
        if step >= STEPS:
            raise UnreadableFile(f'takes more than {STEPS} operations, which no pickle of weights does; {REMEDY}')
    return restricted_pickle.load(io.BytesIO(raw), VOCABULARY)


def _empty(kind: Any, shape: Any, typecode: Any) -> np.ndarray:
    if kind != ARRAY:
        raise UnreadableFile(f'makes an array of {excerpt(str(kind))}; {REMEDY}')
    return np.zeros(0, np.uint8)


def _dtype(kind: Any, align: Any = False, copy: Any = True) -> np.dtype:
    if kind not in KINDS:
        raise UnreadableFile(f'holds an array of {excerpt(str(kind))}, expected numbers; {REMEDY}')
    return np.dtype(f'<{kind}')


def _build(target: Any, state: Any) -> None:
    """Gives an array its shape, type and numbers; a type has all that it needs, if its bytes are in the usual order."""
    match target, state:
        case np.dtype(), (int(), '<' | '|', *parts) if tuple(parts[:3]) == SCALAR:
            return
        case np.ndarray(), (1, tuple(shape), np.dtype() as dtype, bool(), bytes(data)):
            if any(type(count) is not int or count < 0 for count in shape) or len(shape) > 32:
                raise UnreadableFile(f'holds an array of shape {excerpt(str(shape))}; {AGAIN}')
            if math.prod(shape) * dtype.itemsize != len(data):
                raise UnreadableFile(f'holds {len(data)} bytes of an array of shape {excerpt(str(shape))}; {AGAIN}')
            target.__setstate__(state)
        case _:
            raise UnreadableFile(f'sets attributes of a {type(target).__name__} in an unknown way; {REMEDY}')


def _persistent(pid: Any) -> object:
    raise UnreadableFile(f'names something outside of the file; {REMEDY}')


VOCABULARY = Vocabulary(
    names={
        **{(f'numpy.{core}.multiarray', '_reconstruct'): _empty for core in ('core', '_core')},
        ('numpy', 'ndarray'): ARRAY,
        ('numpy', 'dtype'): _dtype,
    },
    kept='arrays of numbers in dictionaries',
    remedy=REMEDY,
    persistent=_persistent,
    build=_build,
    operations=(*PLAIN, *BYTES),
)
