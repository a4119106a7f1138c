"""Table 1 of the paper: which color model? RGB, HSV, YCbCr, or H + Cb + Cr, for both tasks.

    python launch.py --config=configs/table1.py --config.data.root=/path/to/ALL_IDB2

The paper prints 99.50 (detection) and 96.06 (subtype) for RGB, which are macro precision under a split that leaks. With
--config.data.name=folder --config.data.task=classes any folder of class folders has its table, without printed numbers.
"""

from ml_collections import ConfigDict

from alljax.evaluation import paper
from alljax.sweep import Sweep, across
from configs import subtype


def get_config() -> ConfigDict:
    """The paper's settings; the sweep sets color and task."""
    config = subtype.get_config()
    config.augment.copies = 'published'
    return config


def sweep(config: ConfigDict) -> Sweep:
    """A row a color model and task, compared with RGB."""
    table = paper.tables()['table1_color']
    printed = {task: [p / 100 for p in table[task]['reported_accuracy']] for task in ('subtype', 'detection')}
    variants = across('data.color', table['classes'], config=config, printed=printed)
    return Sweep('Table 1: color models', variants, source=paper.SOURCE)
