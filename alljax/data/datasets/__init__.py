"""The data sets by name, and which of them a run is about."""

import os
from dataclasses import replace
from pathlib import Path

from ml_collections import ConfigDict

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


def choose(data: ConfigDict) -> str:
    """The data set that 'auto' means: ALL-IDB2 if any folder was named for it, else drawn cells."""
    if data.name != 'auto':
        return data.name
    return 'all_idb2' if root_of(data) else 'synthetic'


def is_drawn(data: ConfigDict) -> bool:
    """Whether a run on this data is a demo: drawn cells, made here or named as a folder."""
    return choose(data) == 'synthetic' or (bool(root_of(data)) and all_idb2.is_drawn(Path(root_of(data))))


def root_of(data: ConfigDict) -> str:
    """The folder of the data set: the config's, else $ALLJAX_DATA's, else ''."""
    return data.root or os.environ.get('ALLJAX_DATA', '')


def load(data: ConfigDict, seed: int) -> Cells:
    """The cells of a config's `data` fields; UserError with every problem of the folder."""
    name = choose(data)
    if (data.task == 'classes') != (name == 'folder'):
        raise UserError(
            f'config.data.task={data.task} does not go with config.data.name={name}; '
            'class folders take --config=configs/folder.py, ALL-IDB2 takes configs/subtype.py or configs/detection.py'
        )
    root = root_of(data) if name != 'synthetic' else str(synthetic.draw(data.cells, seed))
    if not root:
        raise UserError(f'config.data.root is empty and $ALLJAX_DATA is not set; name the folder of {name}')
    builder = DATASETS[name](root=Path(root), task=data.task, data_dir=cache.folder('cells'))
    found = cells(builder, data.size)
    return replace(found, images=denoise.filtered(found.images, data.denoise))
