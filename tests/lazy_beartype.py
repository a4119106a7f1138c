"""Checks of annotations that cost little: they are made at a function's first call, and done at its first in a test."""

import functools
import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, get_type_hints

import jaxtyping
from beartype import BeartypeConf
from beartype import beartype as beartype_with

beartype = beartype_with(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))
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
    """jaxtyping's decorator, which looks at the first calls of each function only, until `begin` is called again.

    A function is checked by beartype itself within jaxtyping's memory of sizes. Given to jaxtyping as its type checker
    it would make two checks of each function, and do both at each call, for the sake of the message.
    """

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
            if calls == FIRST or jaxtyping.config.jaxtyping_disable:
                return function(*arguments, **given)
            calls += 1
            looked_at = looked_at or self.with_checks(function)
            return looked_at(*arguments, **given)

        return call

    def with_checks(self, function: Callable) -> Callable:
        """The function with its checks; sizes need not be remembered where no annotation has any."""
        found = beartype(_with_known_names(function))
        return self.jaxtyped(found, typechecker=None) if 'jaxtyping' in str(function.__annotations__) else found


def _with_known_names(function: Callable) -> Callable:
    """The function; what its annotations quote because it is imported for type checkers only, may be anything here."""
    for name, hint in function.__annotations__.items():
        if isinstance(hint, str) or "'" in str(hint):
            try:
                quoted = SimpleNamespace(__annotations__={name: hint})
                function.__annotations__[name] = get_type_hints(quoted, function.__globals__, include_extras=True)[name]
            except NameError:
                function.__annotations__[name] = Any
    return function
