"""How should the classes be made equal?

    python launch.py --config=configs/ablations/equalise.py --config.data.root=/path/to/ALL_IDB2

The paper says that it cut all classes to the smallest. Its 456 training images cannot come from that: 60 % of 4 × 81
are 194. They are 60 % of all 760, as with 'none'. So both readings are rows here.
"""

from ml_collections import ConfigDict

from alljax.sweep import Sweep, across
from configs import subtype


def get_config() -> ConfigDict:
    """Four classes."""
    config = subtype.get_config()
    config.augment.copies = 'published'
    return config


def sweep(config: ConfigDict) -> Sweep:
    """A row a way, compared with the paper's words."""
    return Sweep('Equalizing the classes', across('data.equalize', ('undersample', 'none', 'oversample', 'weights')))
