"""Checks of annotations that cost little: they are made at a function's first call, and done at its first in a test."""

import functools
import inspect
from collections.abc import Callable

from beartype import beartype

FIRST = 10  # calls of a function in one test; the thousands that follow are of the same kind, and a tenth of all time


def checked(function: Callable) -> Callable:
    """The function, which beartype takes over at the first call: most are not called in a process."""
    made = []

    def call(*arguments, **options):
        if not made:
            made.append(beartype(function))
        return made[0](*arguments, **options)

    return call


class FirstCalls:
    """jaxtyping's decorator, which looks at the first calls of each function only, until `begin` is called again."""

    def __init__(self, jaxtyped: Callable):
        self.jaxtyped = jaxtyped
        self.begin()

    def begin(self) -> None:
        """Looks at every function anew."""
        self.test = object()

    def __call__(self, function: Callable | None = None, **options) -> Callable:
        if function is None:
            return functools.partial(self, **options)
        if not inspect.isfunction(function):
            return self.jaxtyped(function, **options)
        test = looked_at = None
        calls = 0

        @functools.wraps(function)
        def call(*arguments, **given):
            nonlocal test, calls, looked_at
            if test is not self.test:
                test, calls = self.test, 0
            if calls == FIRST:
                return function(*arguments, **given)
            calls += 1
            looked_at = looked_at or self.jaxtyped(function, **options)
            return looked_at(*arguments, **given)

        return call
