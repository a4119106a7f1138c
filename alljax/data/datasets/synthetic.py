"""Drawn cells, written once as an ALL-IDB2-shaped folder and read by the very code that reads the real one."""

import shutil
from pathlib import Path

from alljax.data import synthetic
from alljax.data.datasets import all_idb2
from alljax.data.datasets.builder import CellsBuilder
from alljax.data.datasets.listing import Listing
from alljax.data.synthetic.folder import GENERATOR
from alljax.storage import cache


class Synthetic(CellsBuilder):
    """Builds a data set from a folder that `python -m alljax.data.synthetic` wrote."""

    VERSION = '1.1.0'

    @staticmethod
    def list_cells(root: Path, task: str) -> Listing:
        """The drawn cells under `root`."""
        return all_idb2.list_cells(root, task)


def draw(cells: int, seed: int) -> Path:
    """The cached folder of `cells` drawings of `seed`, made if absent."""
    path = cache.folder('synthetic') / f'{cells}-cells-seed-{seed}-v{GENERATOR}'
    if not (path / 'ALL_IDB2' / 'synthetic.json').is_file():
        shutil.rmtree(path, ignore_errors=True)
        synthetic.write(path, cells, seed)
    return path
