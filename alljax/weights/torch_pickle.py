"""The pickle inside a file of torch.save, read so that nothing a file says can run, import or fill the memory.

The names it may use and what they stand for are those of torch/_utils.py and torch/storage.py.
"""

import io
import pickle
import pickletools
from collections.abc import Callable
from types import FunctionType
from typing import Any, ClassVar, NamedTuple

import ml_dtypes
import numpy as np

from alljax.weights.file_errors import AGAIN, UnreadableFile, excerpt

REMEDY = "save the weights alone, with torch.save(model.state_dict(), 'weights.pth'), and read that file"

# From a storage's key, type and number of elements to its bytes, or to None while their place is not known yet.
FindStorage = Callable[[str, np.dtype, int], np.ndarray | None]


def load(stream: io.BytesIO, find: FindStorage) -> Any:
    """The next object of `stream`: dict, list, tuple, str, numbers, bool, None, dtypes, and tensors as arrays.

    The arrays are views of the bytes that `find` returns. UnreadableFile, or what Python raises for a damaged pickle.
    """
    return _Unpickler(stream, find).load()


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
        _put(result, key, value)
    if pairs:
        pairs.clear()  # one long list, given to a million dicts, would fill the memory
    return result


def _put(target: Any, key: Any, value: Any) -> None:
    # Keys of other types can be made so that hashing them never ends.
    if type(target) is not dict or not (type(key) is str or (type(key) is int and abs(key) < 2**63)):
        raise UnreadableFile(f'holds a {type(key).__name__} as the key of a {type(target).__name__}; {REMEDY}')
    target[key] = value


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

# Operations that build plain values, or go through `find_class` and `persistent_load`.
PLAIN = (
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT,
    pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE, pickle.SHORT_BINUNICODE,
    pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2,
    pickle.TUPLE3, pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT, pickle.BINPUT,
    pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET, pickle.GLOBAL, pickle.STACK_GLOBAL,
    pickle.BINPERSID,
)  # fmt: skip
OPERATIONS = {ord(operation.code): operation.name for operation in pickletools.opcodes}


class _Allowed(dict):
    """Operation → what it does; any other is refused by its name."""

    def __missing__(self, code: int) -> Any:
        if code not in OPERATIONS:
            raise UnreadableFile(f'is damaged or truncated (byte {code} is no operation of a pickle); {AGAIN}')
        raise UnreadableFile(f'uses the pickle operation {OPERATIONS[code]}, which weights do not need; {REMEDY}')


class _Unpickler(pickle._Unpickler):
    """Python's own unpickler, left with the operations of PLAIN, four of its own, and the names in GLOBALS.

    The one written in C keeps what it has read in an array, which one forged index makes gigabytes large.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, stream: io.BytesIO, find: FindStorage):
        super().__init__(stream)
        self._find = find

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in GLOBALS:
            name = excerpt(f'{module}.{name}')
            raise UnreadableFile(f'holds {name}, which is not read: only tensors and plain containers are; {REMEDY}')
        return GLOBALS[module, name]

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ('storage', np.dtype() as dtype, str(key), _, int(count), *view) if count >= 0:
                data = self._find(key, dtype, count)
            case _:
                raise UnreadableFile(f'names a storage in an unknown way; {REMEDY}')
        match view:
            case [] | [None]:
                return _Storage(dtype, data)
            case [(_, int(start), int(length))] if start >= 0 and length >= 0 and start + length <= count:
                part = slice(start * dtype.itemsize, (start + length) * dtype.itemsize)
                return _Storage(dtype, None if data is None else data[part])
        raise UnreadableFile(f'names a part outside of storage {excerpt(key)}; {AGAIN}')

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        # The only functions that can be on the stack are those of GLOBALS.
        if not isinstance(function, FunctionType) or type(arguments) is not tuple:
            raise UnreadableFile(f'calls a {type(function).__name__}; {REMEDY}')
        self.stack[-1] = function(*arguments)

    def load_build(self) -> None:
        self.stack.pop()  # a state dict's _metadata, the versions of its layers
        if type(self.stack[-1]) is not dict:
            raise UnreadableFile(f'sets attributes of a {type(self.stack[-1]).__name__}; {REMEDY}')

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        _put(self.stack[-1], key, value)

    def load_setitems(self) -> None:
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            _put(self.stack[-1], key, value)

    dispatch: ClassVar[dict[int, Any]] = _Allowed(
        {code[0]: pickle._Unpickler.dispatch[code[0]] for code in PLAIN}
        | {
            pickle.REDUCE[0]: load_reduce,
            pickle.BUILD[0]: load_build,
            pickle.SETITEM[0]: load_setitem,
            pickle.SETITEMS[0]: load_setitems,
        }
    )
