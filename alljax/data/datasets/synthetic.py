"""Drawn cells, written once as an ALL-IDB2-shaped folder and read by the very code that reads the real one."""

import shutil
from pathlib import Path

from alljax.data import synthetic
from alljax.data.datasets import all_idb2
from alljax.data.datasets.listing import Dataset
from alljax.data.synthetic.folder import GENERATOR, MARKER
from alljax.storage import cache


def draw(cells: int, seed: int) -> Path:
    """The cached folder of `cells` drawings of `seed`, made if absent."""
    path = cache.folder('synthetic') / f'{cells}-cells-seed-{seed}-v{GENERATOR}'
    if not (path / 'ALL_IDB2' / MARKER).is_file():
        shutil.rmtree(path, ignore_errors=True)
        synthetic.write(path, cells, seed)
    return path


DATASET = Dataset(all_idb2.list_cells, tasks=all_idb2.CLASSES, version='1.1.0', draw=draw)
