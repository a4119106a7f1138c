"""What does the raised rate of the new layers do?

    python launch.py --config=configs/ablations/learning_rate.py --config.data.root=/path/to/ALL_IDB2

The paper leaves the rate of the old layers and raises that of the new ones ('raised'). Beside it: old layers frozen,
one rate for all, and no pretraining at all (by the recipe of `when.random` in configs/common.py, since SGD at 1e-4
does not move a network that starts from nothing).
"""

from ml_collections import ConfigDict

from alljax.sweep import Sweep, Variant
from configs import subtype

RAISED = 'raised for the new layers'


def get_config() -> ConfigDict:
    """Four classes."""
    config = subtype.get_config()
    config.augment.copies = 'published'
    return config


def sweep(config: ConfigDict) -> Sweep:
    """A row a choice, compared with the paper's."""
    variants = (
        Variant(RAISED, {}),
        Variant('the same for all layers', {'optimizer.factors': (('.*', 1.0),)}, against=RAISED),
        Variant('old layers frozen', {'model.freeze': '(?!head/).*'}, against=RAISED),
        Variant('from scratch', {'model.init': 'random'}, against=RAISED),
    )
    return Sweep('The rate of old and new layers', variants)
