"""Drawn cells, written once as an ALL-IDB2-shaped folder and read by the very code that reads the real one."""

import logging
from pathlib import Path

from alljax.data import synthetic
from alljax.data.datasets import all_idb2
from alljax.data.datasets.listing import Dataset
from alljax.data.synthetic.folder import GENERATOR, MARKER
from alljax.storage import cache, checksums
from alljax.storage.atomic import delete, delete_abandoned, write_json
from alljax.storage.checksums import Damaged
from alljax.storage.json_records import read_object
from alljax.storage.locks import entry_lock

CHECKSUMS = 'checksums.json'  # of each file that was drawn
log = logging.getLogger(__name__)


def draw(cells: int, seed: int) -> Path:
    """The cached folder of `cells` drawings of `seed`, made if absent or damaged; one process draws, others wait."""
    path = cache.folder('synthetic') / f'{cells}-cells-seed-{seed}-v{GENERATOR}'
    with entry_lock(path):
        delete_abandoned(path.parent)
        if path.exists():
            try:
                _check(path)
                return path
            except Damaged as error:
                log.warning('%s: %s; it is part of the cache, and drawn again', path, error)
                delete(path)
        synthetic.write(path, cells, seed)
        _note(path)
    return path


def _check(path: Path) -> None:
    """Damaged if a file is not as it was drawn; what an earlier release drew is noted as it is."""
    home = path / 'ALL_IDB2'
    if not (home / MARKER).is_file():
        raise Damaged(f'{MARKER} is missing')
    read_object(home / MARKER)
    if not (path / CHECKSUMS).exists():
        _note(path)
    checksums.check_files(path, read_object(path / CHECKSUMS))


def _note(path: Path) -> None:
    write_json(path / CHECKSUMS, checksums.of_files(path, without=(CHECKSUMS,)))


DATASET = Dataset(all_idb2.list_cells, tasks=all_idb2.CLASSES, version='1.1.0', draw=draw)
