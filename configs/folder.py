"""Any folder whose subfolders are classes, with the paper's network and settings.

    python launch.py --config=configs/folder.py --config.data.root=/path/to/folder --config.model.init=random

An optional cells.csv (file,label,group) beside the class folders says which cells belong together: cells of one group,
be it a slide, a patient or a repeated crop, are never on both sides of the split.
"""

from ml_collections import ConfigDict

from configs import common


def get_config() -> ConfigDict:
    """As many classes as there are class folders."""
    config = common.get_config()
    config.data.name = 'folder'
    config.data.task = 'classes'
    return config
