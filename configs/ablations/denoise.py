"""Does a noise filter before training help? The paper leaves it to future work.

    python launch.py --config=configs/ablations/denoise.py --config.data.root=/path/to/ALL_IDB2

One row a filter of alljax/data/denoise.py, everything else as in configs/subtype.py, copies made once as in the paper.
"""

from ml_collections import ConfigDict

from alljax.data.denoise import NAMES
from alljax.sweep import Sweep, across
from configs import subtype


def get_config() -> ConfigDict:
    """Four classes."""
    config = subtype.get_config()
    config.augment.copies = 'published'
    return config


def sweep(config: ConfigDict) -> Sweep:
    """A row a filter, compared with none."""
    return Sweep('Noise filters before training', across('data.denoise', NAMES))
