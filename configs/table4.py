"""Table 4 of the paper: how wide should the new hidden layer be? 4096, 3072, 2048 or 1024 units, for both tasks.

    python launch.py --config=configs/table4.py --config.data.root=/path/to/ALL_IDB2

The paper's choice is 1024. Its numbers are macro precision under a split that leaks.
"""

from ml_collections import ConfigDict

from alljax.evaluation import paper
from alljax.sweep import Sweep, across
from configs import subtype


def get_config() -> ConfigDict:
    """The paper's settings; the sweep sets width and task."""
    config = subtype.get_config()
    config.augment.copies = 'published'
    return config


def sweep(config: ConfigDict) -> Sweep:
    """A row a width and task, compared with 1024."""
    table = paper.tables()['table4_width']
    printed = {task: [p / 100 for p in reversed(table[task])] for task in ('subtype', 'detection')}
    variants = across('model.head', table['widths'][::-1], config=config, printed=printed)
    return Sweep('Table 4: units of the new hidden layer', variants, source=paper.SOURCE)
