"""Is this cell a leukaemic blast or a normal lymphocyte?

The paper's first task (Tables 1 and 2; it prints 99.50 %, which is macro precision, under a split that leaks).

    python launch.py --config=configs/detection.py --config.data.root=/path/to/ALL_IDB2

Without ALL-IDB2 it is a demo on synthetic cells, and says so.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    """Two classes."""
    config = common.get_config()
    config.data.task = 'detection'
    return config
