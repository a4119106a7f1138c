r"""What a split does to a number: the same network and cells, split as the paper did and by group.

    python launch.py --config=configs/protocols.py --config.data.root=/path/to/ALL_IDB2
    python launch.py --config=configs/protocols.py --config.data.name=folder --config.data.task=classes \
        --config.data.root=/path/to/cells --config.split.folds=5 --config.protocols="('random', 'paper', 'grouped')"

'random' splits by file without making copies first; where an audit has found repeats it is an error. The gap is that of
the first protocol to the grouped one.
"""

from ml_collections import ConfigDict

from alljax.sweep import Sweep, Variant
from configs import subtype


def get_config() -> ConfigDict:
    """Four classes unless told otherwise; copies made once, under every protocol."""
    config = subtype.get_config()
    config.augment.copies = 'published'
    config.protocols = ('paper', 'grouped')  # columns of the table: of split.protocol's
    return config


def sweep(config: ConfigDict) -> Sweep:
    """One row, a column a protocol."""
    return Sweep('One network, one column a protocol', (Variant(config.model.name, {}),), config.protocols)
