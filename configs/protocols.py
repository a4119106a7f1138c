r"""What a split does to a number: the same network and cells, split by file, as the paper did, and by group.

    python launch.py --config=configs/protocols.py --config.data.root=/path/to/ALL_IDB2
    python launch.py --config=configs/protocols.py --config.data.name=folder --config.data.task=classes \
        --config.data.root=/path/to/cells --config.split.folds=5

The gap is that of the split by file to the grouped one.
"""

from ml_collections import ConfigDict

from alljax.sweep import Cell, Sweep
from configs import subtype


def get_config() -> ConfigDict:
    """Four classes unless told otherwise; copies made once, under every protocol."""
    config = subtype.get_config()
    config.augment.copies = 'published'
    return config


def sweep(config: ConfigDict) -> Sweep:
    """One row, three protocols."""
    return Sweep('One network, three protocols', (Cell(config.model.name, {}),), ('random', 'paper', 'grouped'))
