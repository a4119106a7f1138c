"""Checks of annotations that are made when a function is first called: most functions are not called in a process."""

from collections.abc import Callable

from beartype import beartype


def checked(function: Callable) -> Callable:
    """The function, which beartype takes over at the first call."""
    made = []

    def call(*arguments, **options):
        if not made:
            made.append(beartype(function))
        return made[0](*arguments, **options)

    return call
