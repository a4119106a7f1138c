"""A bar on the terminal whose clock goes on while a step takes long; none where the output is no terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from tqdm import tqdm

TICK = 1.0  # seconds between two moves of the clock
UNCOUNTED = '{desc} [{elapsed}]'  # before it is known how many steps there are

Step = Callable[[str, int], None]  # told what is being done, and how many steps are done more


def no_step(doing: str, done: int) -> None:
    """The step of who shows no progress."""


@contextmanager
def bar(doing: str) -> Iterator[Any]:
    """A bar that says what is being done, for the time of the `with`; `count` gives it a number of steps."""
    with tqdm(
        desc=doing, bar_format=UNCOUNTED, leave=False, disable=not sys.stderr.isatty(), dynamic_ncols=True
    ) as shown:
        done = Event()
        clock = Thread(target=_tick, args=(shown, done), daemon=True)
        clock.start()
        try:
            yield shown
        finally:
            done.set()
            clock.join()


def count(shown: Any, steps: int, unit: str) -> Step:
    """Makes a bar count steps, with the time that is left; returns what is called with each."""
    shown.bar_format, shown.unit = None, f' {unit}'
    shown.reset(total=steps)

    def step(doing: str, done: int) -> None:
        shown.set_description_str(doing, refresh=not done)
        shown.update(done)

    return step


def _tick(shown: Any, done: Event) -> None:
    while not done.wait(TICK):
        shown.refresh()
