"""Long work as a terminal shows it: by a bar of its own, or by the bar of all the runs that it is a part of."""

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

from tqdm import tqdm

TICK = 0.5  # seconds from one look of the reader's clock to the next

Item = TypeVar('Item')


class Stage(NamedTuple):
    """Work that is being done, and how far it is."""

    name: str  # 'features', 'epoch 4 of 20'
    done: int = 0
    total: int = 0  # 0 where there is nothing to count
    unit: str = ''  # ' images', ' steps', …


class Shown(NamedTuple):
    """The means to say how far shown work is, named as tqdm's."""

    update: Callable[[int], object]  # adds to what is done


Listener = Callable[[Stage], None]
_listener: ContextVar[Listener | None] = ContextVar('listener', default=None)


@contextmanager
def heard_by(listener: Listener) -> Iterator[None]:
    """Tells a listener of all work until the end of the `with`, in the place of bars on the terminal."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


def listen(listener: Listener) -> None:
    """Tells a listener of all work from now on, as in a process that is started for it."""
    _listener.set(listener)


def tell(stage: Stage) -> bool:
    """Tells the listener how far some work is; False if there is none, so that a bar has to show it."""
    listener = _listener.get()
    if listener:
        listener(stage)
    return listener is not None


def has_listener() -> bool:
    """True if somebody else shows how far work is."""
    return _listener.get() is not None


@contextmanager
def shown(name: str, total: int = 0, unit: str = '') -> Iterator[Shown]:
    """Shows work until the end of the `with`; without a `total` only its name and the seconds that it takes."""
    if tell(Stage(name, 0, total, unit)):
        done = 0

        def update(count: int = 1) -> None:
            nonlocal done
            done += count
            tell(Stage(name, done, total, unit))

        yield Shown(update)
        return
    form = None if total else '{desc} {elapsed}'
    bar = tqdm(total=total or None, desc=name, unit=unit, leave=False, disable=None, bar_format=form)
    with bar, ticking(bar):
        yield Shown(bar.update)


def each(items: Iterable[Item], name: str, total: int, unit: str) -> Iterator[Item]:
    """The items, whose number is shown as they come."""
    with shown(name, total, unit) as bar:
        for item in items:
            yield item
            bar.update(1)


@contextmanager
def ticking(bar: tqdm) -> Iterator[None]:
    """Lets the seconds of a bar go on while something is done that has no steps to count."""
    if bar.disable:
        yield
        return
    done = threading.Event()

    def tick() -> None:
        while not done.wait(TICK):
            bar.refresh()

    thread = threading.Thread(target=tick, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def throttled(listener: Listener, seconds: float = 0.2) -> Listener:
    """A listener that hears of a stage at most so often, and always of a new one and of its end."""
    heard, at = '', 0.0

    def maybe(stage: Stage) -> None:
        nonlocal heard, at
        now = time.monotonic()
        if stage.name != heard or stage.done >= stage.total or now - at >= seconds:
            heard, at = stage.name, now
            listener(stage)

    return maybe


def on_terminal() -> bool:
    """True if there is somebody to look at a bar."""
    return sys.stderr.isatty()
