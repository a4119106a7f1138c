"""A field of a config: its default, its meaning and the values that it may have."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Field(NamedTuple):
    """A field of a config. None is allowed where the default is None: the field then has the type of `example`."""

    default: Any
    about: str
    choices: Callable[[], Iterable[str]] | None = None  # asked when needed: a config file may add networks or data sets
    several: bool = False  # a tuple of choices, in an order
    not_empty: bool = False  # of them one at least
    low: float | None = None  # smallest and largest value, both allowed
    high: float = float('inf')
    example: Any = None


def one_of(*names: str) -> Callable[[], Iterable[str]]:
    """The choices of a field whose list never grows."""
    return lambda: names
