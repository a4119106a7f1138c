r"""C-NMC 2019, leukemic or normal: tested by subject, and beside it as published, on the preliminary test set.

    python launch.py --config=configs/c_nmc.py --config.data.root=/path/to/C-NMC
    python launch.py --config=configs/c_nmc.py --config.data.root=/path/to/C-NMC --config.protocols="('grouped',)"

'grouped' is five folds over all subjects, those of the preliminary test set too; 'given' trains on the three published
folds and tests on the preliminary test set, which needs its table of labels (the second command does without it). The
cells are cut out on black, so that nothing around them tells a subject.

The network is frozen, its features are computed once, and one linear layer learns: minutes on two cores.
--config.model.freeze='' with --config.epochs=10 --config.optimizer.rate=1e-4 trains all of it, which wants a GPU.
"""

from ml_collections import ConfigDict

from alljax.sweep import Sweep, Variant
from configs import my_cells


def get_config() -> ConfigDict:
    """A frozen network and one new layer; the protocols are columns of the table."""
    config = my_cells.get_config()
    config.data.name, config.data.task, config.data.groups = 'c_nmc_2019', 'detection', 'named'
    config.data.equalize = 'weights'
    config.split.folds, config.split.final_model, config.calibration.fit = 5, False, 'none'
    config.protocols = ('grouped', 'given')
    return config


def sweep(config: ConfigDict) -> Sweep:
    """One row, a column for each protocol."""
    variant = Variant(config.model.name, {}, {'accuracy': None, 'macro_recall': None, 'macro_precision': None})
    return Sweep('C-NMC 2019, by subject and as published', (variant,), config.protocols)
