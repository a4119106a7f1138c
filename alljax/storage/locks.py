"""Locks on files: held by one process at a time, and released when it ends, however it ends."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """The lock of a file, which is made if absent, held until the end of the `with`.

    Waits for another process that holds it; without `wait`, BlockingIOError if there is one.
    """
    with path.open('w') as file:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
