"""Records from JSON: each field is checked against its annotation, and an error names the file and the key."""

import inspect
import json
from collections.abc import Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from alljax.errors import UserError
from alljax.storage.checksums import Damaged

Json = Mapping[str, Any]  # an object of JSON, whose values may be of any of its kinds
Record = TypeVar('Record')

WORDS = {str: 'text', int: 'a whole number', float: 'a number', bool: 'true or false'}


def read_object(path: Path) -> Json:
    """The object in a file of JSON; Damaged, in words that lack the remedy, for a file that holds none."""
    try:
        values = json.loads(path.read_text(encoding='utf-8'))
    except PermissionError:
        raise
    except FileNotFoundError:
        raise Damaged('is missing') from None
    except OSError as error:
        raise Damaged(f'cannot be read ({error.strerror})') from None
    except (ValueError, RecursionError) as error:
        raise Damaged('is empty' if not path.stat().st_size else f'is no JSON ({error})') from None
    if not isinstance(values, dict):
        raise Damaged(f'holds {type(values).__name__}, expected an object')
    return values


def read_record(kind: type[Record], values: Json, path: Path, within: str = '') -> Record:
    """A NamedTuple or dataclass of plain values, tuples of them, mappings and other such records.

    A key that is absent takes the field's default, one that no field asks for is passed over. UserError for what is
    missing or of another kind; it names the file `path`, and keys after `within`, as in 'input.size'.
    """
    hints = get_type_hints(kind)
    found = {}
    for name, field in inspect.signature(kind).parameters.items():
        if name in values:
            found[name] = _read(hints[name], values[name], path, within + name)
        elif field.default is field.empty:
            raise _damaged(path, f'has no {within}{name}')
    return kind(**found)


def _read(hint: Any, value: Any, path: Path, key: str) -> Any:  # the hint and the value may be any
    if isinstance(hint, UnionType):
        if value is None:
            return None
        hint = next(option for option in get_args(hint) if option is not NoneType)
    kind = get_origin(hint) or hint
    if kind is tuple and isinstance(value, list):
        return _read_tuple(get_args(hint), value, path, key)
    if isinstance(value, Mapping):
        if kind is Mapping:
            return value
        if kind not in WORDS and kind is not tuple:
            return read_record(kind, value, path, f'{key}.')
    if kind is float and type(value) is int:
        return float(value)
    if kind not in WORDS or type(value) is not kind:
        expected = WORDS.get(kind, 'a list' if kind is tuple else 'an object')
        raise _damaged(path, f'has {value!r} for {key}, expected {expected}')
    return value


def _read_tuple(hints: tuple[Any, ...], values: list[Any], path: Path, key: str) -> tuple[Any, ...]:
    each = hints[:1] * len(values) if hints[1:] == (...,) else hints
    if len(each) != len(values):
        raise _damaged(path, f'has {len(values)} values for {key}, expected {len(each)}')
    items = enumerate(zip(each, values, strict=True))
    return tuple(_read(hint, value, path, f'{key}[{number}]') for number, (hint, value) in items)


def _damaged(path: Path, problem: str) -> UserError:
    return UserError(f'{path}: {problem}; the model is damaged, train or convert it again')
