"""The data sets by name, and which of them a run is about."""

import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from alljax.data import denoise
from alljax.data.cells import Cells
from alljax.data.datasets import all_idb2, synthetic
from alljax.data.datasets.all_idb2 import AllIdb2
from alljax.data.datasets.builder import CellsBuilder, cells
from alljax.data.datasets.folder import Folder
from alljax.data.datasets.synthetic import Synthetic
from alljax.errors import UserError
from alljax.storage import cache

DATASETS: dict[str, type[CellsBuilder]] = {'all_idb2': AllIdb2, 'folder': Folder, 'synthetic': Synthetic}


class DataOptions(NamedTuple):
    """Which cells, and how they are kept."""

    name: str  # one of DATASETS
    root: str = ''  # the folder of the data set; unused by 'synthetic'
    task: str = 'subtype'  # 'detection', 'subtype' or 'classes'
    size: int = 257  # pixels a side at which cells are kept
    cells: int = 260  # 'synthetic' only: how many to draw
    denoise: str = 'none'  # one of alljax.data.denoise.NAMES

    @property
    def drawn(self) -> bool:
        """True for drawn cells, made here or named as a folder: a run on them is a demo."""
        return self.name == 'synthetic' or (bool(self.root) and all_idb2.is_drawn(Path(self.root)))


def located(options: DataOptions) -> DataOptions:
    """The options with the folder of $ALLJAX_DATA where none is named, and with what 'auto' means.

    That is ALL-IDB2 if any folder was named for it, else drawn cells.
    """
    root = options.root or os.environ.get('ALLJAX_DATA', '')
    name = ('all_idb2' if root else 'synthetic') if options.name == 'auto' else options.name
    return options._replace(name=name, root=root)


def load(options: DataOptions, seed: int) -> Cells:
    """The cells of a data set; UserError with every problem of its folder."""
    if (options.task == 'classes') != (options.name == 'folder'):
        raise UserError(
            f'config.data.task={options.task} does not go with config.data.name={options.name}; '
            'class folders take --config=configs/folder.py, ALL-IDB2 takes configs/subtype.py or configs/detection.py'
        )
    root = options.root if options.name != 'synthetic' else str(synthetic.draw(options.cells, seed))
    if not root:
        raise UserError(f'config.data.root is empty and $ALLJAX_DATA is not set; name the folder of {options.name}')
    builder = DATASETS[options.name](root=Path(root), task=options.task, data_dir=cache.folder('cells'))
    found = cells(builder, options.size)
    return replace(found, images=denoise.filtered(found.images, options.denoise))
