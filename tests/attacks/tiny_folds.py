"""The config of `alljax try` with the network of tiny.py: two folds and a final model in seconds."""

import runpy
from pathlib import Path

from configs import my_cells

runpy.run_path(str(Path(__file__).with_name('tiny.py')))


def get_config():
    """A cross-validation with a final model; the command line gives the cells, and what a random start would set."""
    config = my_cells.get_config()
    config.model.name, config.model.init, config.model.head = 'tiny', 'random', 8
    config.data.size, config.data.equalize, config.split.folds = 64, 'none', 2
    config.batch_size, config.checkpoint.seconds = 8, 0
    return config
