"""Locks on files: held by one process at a time, and released when it ends, however it ends."""

import fcntl
import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

log = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, *, wait: bool = True) -> Iterator[None]:
    """The lock of a file, which is made if absent, held until the end of the `with`.

    Waits for another process that holds it, saying so; without `wait`, BlockingIOError if there is one.
    """
    with path.open('w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise
            log.info('waiting for another process, which holds %s', path)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def entry_lock(entry: Path) -> AbstractContextManager[None]:
    """The lock of a file or folder in a cache, for who makes it; one who waited finds it made."""
    return locked(entry.with_name(f'.{entry.name}.lock'))
