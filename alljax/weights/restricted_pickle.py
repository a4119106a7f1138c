"""Pickles read by closed lists of names and operations, so that nothing they say can run, import or fill the memory."""

import io
import pickle
import pickletools
from collections.abc import Callable, Iterable, Mapping
from types import FunctionType
from typing import Any, NamedTuple

from alljax.weights.file_errors import AGAIN, UnreadableFile, excerpt

# Operations that build plain values, or go through `find_class` and `persistent_load`.
PLAIN = (
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT,
    pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE, pickle.SHORT_BINUNICODE,
    pickle.BINSTRING, pickle.SHORT_BINSTRING, pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2,
    pickle.TUPLE3, pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT, pickle.BINPUT,
    pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET, pickle.GLOBAL, pickle.STACK_GLOBAL,
    pickle.BINPERSID,
)  # fmt: skip
BYTES = (pickle.BINBYTES, pickle.SHORT_BINBYTES, pickle.BINBYTES8)
OPERATIONS = {ord(operation.code): operation.name for operation in pickletools.opcodes}


class Vocabulary(NamedTuple):
    """All that a kind of pickle may say."""

    names: Mapping[tuple[str, str], object]  # (module, name) → what stands for it; only functions are called
    kept: str  # what such a pickle is read for, as a message says it: 'tensors and plain containers'
    remedy: str
    persistent: Callable[[Any], object]  # from the id of something outside of the pickle to what stands for it
    build: Callable[[Any, Any], None]  # takes the state of something
    operations: Iterable[bytes] = PLAIN


def load(stream: io.BytesIO, vocabulary: Vocabulary) -> Any:
    """The next object of `stream`. UnreadableFile, or what Python raises for a damaged pickle."""
    return _Unpickler(stream, vocabulary).load()


def put(target: Any, key: Any, value: Any, remedy: str) -> None:
    """Sets a key of a dictionary; UnreadableFile for keys of other types, which can be made to hash without end."""
    if type(target) is not dict or not (type(key) is str or (type(key) is int and abs(key) < 2**63)):
        raise UnreadableFile(f'holds a {type(key).__name__} as the key of a {type(target).__name__}; {remedy}')
    target[key] = value


class _Allowed(dict):
    """Operation → what it does; any other is refused by its name."""

    def __init__(self, operations: Mapping[int, Any], remedy: str):
        super().__init__(operations)
        self._remedy = remedy

    def __missing__(self, code: int) -> Any:
        if code not in OPERATIONS:
            raise UnreadableFile(f'is damaged or truncated (byte {code} is no operation of a pickle); {AGAIN}')
        raise UnreadableFile(f'uses the pickle operation {OPERATIONS[code]}, which weights do not need; {self._remedy}')


class _Unpickler(pickle._Unpickler):
    """Python's own unpickler, left with the operations of a vocabulary, four of its own, and the vocabulary's names.

    The one written in C keeps what it has read in an array, which one forged index makes gigabytes large.
    """

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, stream: io.BytesIO, vocabulary: Vocabulary):
        super().__init__(stream)
        self._vocabulary = vocabulary
        own = {
            pickle.REDUCE[0]: _Unpickler.load_reduce,
            pickle.BUILD[0]: _Unpickler.load_build,
            pickle.SETITEM[0]: _Unpickler.load_setitem,
            pickle.SETITEMS[0]: _Unpickler.load_setitems,
        }
        plain = {code[0]: pickle._Unpickler.dispatch[code[0]] for code in vocabulary.operations}
        self.dispatch = _Allowed(plain | own, vocabulary.remedy)  # type: ignore[misc]  # each vocabulary has its own

    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in self._vocabulary.names:
            said = f'which is not read: only {self._vocabulary.kept} are; {self._vocabulary.remedy}'
            raise UnreadableFile(f'holds {excerpt(f"{module}.{name}")}, {said}')
        return self._vocabulary.names[module, name]

    def persistent_load(self, pid: Any) -> object:
        return self._vocabulary.persistent(pid)

    def load_reduce(self) -> None:
        arguments = self.stack.pop()
        function = self.stack[-1]
        # The only functions that can be on the stack are those of the vocabulary.
        if not isinstance(function, FunctionType) or type(arguments) is not tuple:
            raise UnreadableFile(f'calls a {type(function).__name__}; {self._vocabulary.remedy}')
        self.stack[-1] = function(*arguments)

    def load_build(self) -> None:
        state = self.stack.pop()
        self._vocabulary.build(self.stack[-1], state)

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        put(self.stack[-1], key, value, self._vocabulary.remedy)

    def load_setitems(self) -> None:
        items = self.pop_mark()
        for key, value in zip(items[::2], items[1::2], strict=True):
            put(self.stack[-1], key, value, self._vocabulary.remedy)
