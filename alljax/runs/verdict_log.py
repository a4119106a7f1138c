"""The end of a run, or of a cross-validation, on the terminal: the verdict in words, and where the page is."""

import logging
import shlex
from pathlib import Path

from alljax.evaluation import verdict
from alljax.runs import results
from alljax.storage.run_folder import FINAL

log = logging.getLogger(__name__)


def write(folder: Path) -> None:
    """Logs the verdict on what is in a finished run folder, the accuracy with the words that belong beside it."""
    found = results.read(folder)
    marks = ', '.join(results.marks(found))
    first, *further = verdict.lines(verdict.sentences(found, results.predictions(folder)))
    log.info('%s%s', first, f' [{marks}]' if marks else '')
    for line in further:
        log.info('%s', line)
    log.info('see %s', folder / 'report.html')
    if (folder / FINAL / 'model').is_dir():
        log.info('for new cells: alljax predict %s PICTURES --html gallery.html', shlex.quote(str(folder)))
