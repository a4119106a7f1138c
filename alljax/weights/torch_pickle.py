"""The pickle inside a file of torch.save, read so that nothing a file says can run, import or fill the memory.

The names it may use and what they stand for are those of torch/_utils.py and torch/storage.py.
"""

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from alljax.weights import restricted_pickle
from alljax.weights.file_errors import AGAIN, UnreadableFile, excerpt
from alljax.weights.restricted_pickle import Vocabulary, put

REMEDY = "save the weights alone, with torch.save(model.state_dict(), 'weights.pth'), and read that file"

# From a storage's key, type and number of elements to its bytes, or to None while their place is not known yet.
FindStorage = Callable[[str, np.dtype, int], np.ndarray | None]


def load(stream: io.BytesIO, find: FindStorage) -> Any:
    """The next object of `stream`: dict, list, tuple, str, numbers, bool, None, dtypes, and tensors as arrays.

    The arrays are views of the bytes that `find` returns. UnreadableFile, or what Python raises for a damaged pickle.
    """
    vocabulary = Vocabulary(GLOBALS, 'tensors and plain containers', REMEDY, _persistent(find), _build)
    return restricted_pickle.load(stream, vocabulary)


class _Storage(NamedTuple):
    """The bytes that a tensor is a view of; no pickle can make one but through `FindStorage`."""

    dtype: np.dtype
    data: np.ndarray | None


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, dtype: Any = None) -> np.ndarray | None:
    if not isinstance(storage, _Storage):
        raise UnreadableFile(f'holds a tensor over a {type(storage).__name__}, expected a storage; {AGAIN}')
    dtype = storage.dtype if dtype is None else dtype
    if not isinstance(dtype, np.dtype) or len(size) != len(stride):
        raise UnreadableFile(
            f'holds a tensor without a type, or of {len(size)} sizes and {len(stride)} strides; {AGAIN}'
        )
    if any(type(number) is not int or number < 0 for number in (offset, *size, *stride)):
        raise UnreadableFile(f'holds a tensor whose sizes are no counts; {AGAIN}')
    if storage.data is None:
        return None
    if 0 in size:
        return np.empty(size, dtype)
    last = offset + sum((count - 1) * step for count, step in zip(size, stride, strict=True))
    if (last + 1) * dtype.itemsize > storage.data.size:
        raise UnreadableFile(f'holds a tensor of shape {excerpt(str(size))} that reaches out of its storage; {AGAIN}')
    strides = [step * dtype.itemsize if count > 1 else 0 for count, step in zip(size, stride, strict=True)]
    # NumPy checks the bounds of a buffer once more, which it does not for stride_tricks.
    return np.ndarray(size, dtype, storage.data, offset * dtype.itemsize, strides)


# The next two have the arguments of torch's own functions, whose calls a pickle holds.
def _tensor_v2(storage: Any, offset: Any, size: Any, stride: Any, gradient: Any, hooks: Any, bits: Any = None) -> Any:
    return _tensor_v3(storage, offset, size, stride, gradient, hooks, None, bits)


def _tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, gradient: Any, hooks: Any, dtype: Any, bits: Any = None
) -> Any:
    if bits:
        raise UnreadableFile(f'holds a tensor that is to be negated or conjugated; {REMEDY}')
    return _tensor(storage, offset, size, stride, dtype)


def _parameter(data: Any, gradient: Any, hooks: Any, state: Any = None) -> Any:
    return data


def _size(numbers: Any) -> tuple:
    if type(numbers) is not tuple:
        raise UnreadableFile(f'holds a torch.Size of a {type(numbers).__name__}; {AGAIN}')
    return numbers


def _ordered(pairs: Any = None) -> dict:
    result: dict = {}
    for key, value in pairs or ():
        put(result, key, value, REMEDY)
    if pairs:
        pairs.clear()  # one long list, given to a million dicts, would fill the memory
    return result


STORAGES = {
    'Half': np.float16, 'Float': np.float32, 'Double': np.float64, 'BFloat16': ml_dtypes.bfloat16, 'Bool': np.bool_,
    'Byte': np.uint8, 'Char': np.int8, 'Short': np.int16, 'Int': np.int32, 'Long': np.int64,
}  # fmt: skip
NEWER = (np.uint16, np.uint32, np.uint64)  # these have no storages of their own, but untyped ones

GLOBALS: dict[tuple[str, str], object] = {
    ('collections', 'OrderedDict'): _ordered,
    ('torch', 'Size'): _size,
    ('torch._utils', '_rebuild_tensor'): _tensor,
    ('torch._utils', '_rebuild_tensor_v2'): _tensor_v2,
    ('torch._utils', '_rebuild_tensor_v3'): _tensor_v3,
    ('torch._utils', '_rebuild_parameter'): _parameter,
    ('torch._utils', '_rebuild_parameter_with_state'): _parameter,
    ('torch.storage', 'UntypedStorage'): np.dtype(np.uint8),
    **{('torch', f'{name}Storage'): np.dtype(kind) for name, kind in STORAGES.items()},
    **{('torch', np.dtype(kind).name): np.dtype(kind) for kind in (*STORAGES.values(), *NEWER)},
}


def _persistent(find: FindStorage) -> Callable[[Any], _Storage]:
    """The function from a storage's id to its bytes."""

    def storage(pid: Any) -> _Storage:
        match pid:
            case ('storage', np.dtype() as dtype, str(key), _, int(count), *view) if count >= 0:
                data = find(key, dtype, count)
            case _:
                raise UnreadableFile(f'names a storage in an unknown way; {REMEDY}')
        match view:
            case [] | [None]:
                return _Storage(dtype, data)
            case [(_, int(start), int(length))] if start >= 0 and length >= 0 and start + length <= count:
                part = slice(start * dtype.itemsize, (start + length) * dtype.itemsize)
                return _Storage(dtype, None if data is None else data[part])
        raise UnreadableFile(f'names a part outside of storage {excerpt(key)}; {AGAIN}')

    return storage


def _build(target: Any, state: Any) -> None:
    """Passes over a state dict's _metadata, the versions of its layers."""
    if type(target) is not dict:
        raise UnreadableFile(f'sets attributes of a {type(target).__name__}; {REMEDY}')
