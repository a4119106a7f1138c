"""The log of the package, as people read it on the terminal; a run folder keeps a copy in its run.log."""

import logging


def set_up_logging(*, terminal: bool = True) -> None:
    """Lets the package say on stderr what it does, and other libraries only what goes wrong.

    Handlers that were there before are removed. Without `terminal` the package speaks to the run.log of each run only.
    """
    logging.basicConfig(format='%(message)s', level=logging.WARNING, force=True)
    logger = logging.getLogger('alljax')
    logger.setLevel(logging.INFO)
    logger.propagate = terminal
