"""Which FAB subtype is this cell: L1, L2, L3, or a normal lymphocyte?

The paper's second task (Tables 1, 3 and 5; it prints 96.06 %, which is macro precision, under a split that leaks).

    python launch.py --config=configs/subtype.py --config.data.root=/path/to/ALL_IDB2

Needs ALL-IDB2 with a subtypes.csv (file,subtype), since no list of subtypes was published. Without ALL-IDB2 it is a
demo on synthetic cells, and says so.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    """Four classes."""
    config = common.get_config()
    config.data.task = 'subtype'
    return config
