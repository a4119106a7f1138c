r"""A few cells of the other laboratory: how many have to train for the rest of them to be told as well as one's own?

    python launch.py --config=configs/transfer_domain.py --config.data.root=/path/to/my/cells \
        --config.test.root=/path/to/other/cells
    python launch.py --config=configs/transfer_domain.py --config.data.root=/path/to/my/cells \
        --config.test.root=/path/to/other/cells --config.by=adapt_groups --config.counts="(0, 1, 2, 4)"

Each row trains on its own training side and k cells of each class (or k slides) of the other set; table.html shows the
inside and the outside score, the latter on the cells of the other set that no row trained on.
"""

from ml_collections import ConfigDict

from alljax.sweep import Sweep, Variant
from configs import folder

UNITS = {'adapt_cells': 'cells of each class', 'adapt_groups': 'slides'}


def get_config() -> ConfigDict:
    """The paper's network and settings; three repetitions, each of which draws other cells."""
    config = folder.get_config()
    config.data.equalize = 'oversample'
    config.split.repeats, config.split.draw = 3, 'shuffled'
    config.by = 'adapt_cells'  # or adapt_groups: by slides
    config.counts = (0, 1, 5, 20)
    return config


def sweep(config: ConfigDict) -> Sweep:
    """A row for each number of cells or slides of the other set that train."""
    unit = UNITS[config.by]
    variants = [Variant(f'{count} {unit}', {f'test.{config.by}': count}) for count in config.counts]
    compared = [variant._replace(against=variants[0].name) for variant in variants[1:]]
    return Sweep('Training cells of the other laboratory', (variants[0], *compared), ('grouped',))
