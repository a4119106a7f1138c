"""The log of the package, as people read it on the terminal; a run folder keeps a copy in its run.log."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from alljax.errors import printable


class Printable(logging.Formatter):
    """Lines of the log in which no file name can steer the terminal that shows them."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, with control characters escaped."""
        return printable(super().format(record))


def set_up_logging(*, terminal: bool = True) -> None:
    """Lets the package say on stderr what it does, and other libraries only what goes wrong.

    Handlers that were there before are removed, but not closed: absl's would close the stream that it writes to.
    Without `terminal` the package speaks to the run.log of each run only.
    """
    root = logging.getLogger()
    root.handlers.clear()
    logging.basicConfig(level=logging.WARNING)
    root.setLevel(logging.WARNING)
    for handler in root.handlers:
        handler.setFormatter(Printable('%(message)s'))
    logger = logging.getLogger('alljax')
    logger.setLevel(logging.INFO)
    logger.propagate = terminal


@contextmanager
def said_before(room: str) -> Iterator[None]:
    """Keeps a room of the package, such as 'alljax.data', from saying again what it has said: all but errors."""
    logger = logging.getLogger(room)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
