"""Your own cells, from class folders to a page: a frozen network that a laptop carries, tested by group.

    alljax try /path/to/my/cells
    python launch.py --config=configs/my_cells.py --config.data.root=/path/to/my/cells   # the same

One folder of images for each class, or a published set as it was unpacked, known by its layout; an optional cells.csv
(file,label,group) or groups.csv says which cells are of one slide or patient. Where neither does, the folder is
audited, and only the repeats of one cell are kept together: the page says so, for its numbers may then be too high for
new patients.

The network is frozen and only one linear layer learns, from features that are computed once: the first of AlexNet's
convolutions and EfficientNet-Lite0 whose published weights are cached, installed or can be fetched. Each of five folds
(fewer where the groups do not allow it) is tested by a model that has seen no cell of its groups; a last model, for
`alljax predict`, learns from all cells. configs/new_slide.py takes longer and does better on slides never seen.
"""

from ml_collections import ConfigDict

from alljax.config import defaults


def get_config() -> ConfigDict:
    """As many classes as there are class folders, or those of the set that the folder is known as."""
    config = defaults()
    config.data.name, config.data.task, config.data.groups = 'auto', 'auto', 'audit'
    config.data.equalize = 'oversample'  # every cell counts
    config.model.name, config.model.dense, config.model.head = 'auto', False, 0
    config.model.freeze = '(?!head/).*'
    config.augment.rotate, config.augment.mirror = 0.0, False  # so that each cell goes through the network once
    config.split.folds, config.split.final_model, config.calibration.fit = 0, True, 'folds'
    config.epochs = 30
    config.optimizer.name, config.optimizer.rate, config.optimizer.schedule = 'adamw', 1e-2, 'cosine'
    config.optimizer.factors = (('.*', 1.0),)
    return config
