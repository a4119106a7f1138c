"""Tables 2, 3 and 5 of the paper: the confusion matrices of both tasks, and what follows from them class by class.

    python launch.py --config=configs/table2_3_5.py --config.data.root=/path/to/ALL_IDB2

`python -m alljax.evaluation.paper` shows which of the printed numbers follow from the printed matrices. The row that
Table 5 calls accuracy is precision, and stands here as precision; its row "precision" follows from nothing.
"""

from ml_collections import ConfigDict

from alljax.evaluation import paper
from alljax.sweep import Sweep, Variant
from configs import subtype


def get_config() -> ConfigDict:
    """The paper's settings; the sweep sets the task."""
    config = subtype.get_config()
    config.augment.copies = 'published'
    return config


def sweep(config: ConfigDict) -> Sweep:
    """Both tasks, every printed measure."""
    headline, by_class = paper.tables()['headline'], paper.tables()['table5_per_class']
    blast = headline['detection']
    detection = {
        'accuracy': None,
        'macro_precision': blast['accuracy'] / 100,
        'per_class.blast.recall': blast['sensitivity'] / 100,
        'per_class.blast.specificity': blast['specificity'] / 100,
    }
    subtypes = {'accuracy': None, 'macro_precision': headline['subtype']['accuracy'] / 100}
    for row, measure in (('sensitivity', 'recall'), ('specificity', 'specificity'), ('accuracy', 'precision')):
        for name, percent in zip(by_class['labels'], by_class[row], strict=True):
            subtypes[f'per_class.{name}.{measure}'] = percent / 100
    variants = (
        Variant('detection', {'data.task': 'detection'}, detection, confusion='detection'),
        Variant('subtype', {'data.task': 'subtype'}, subtypes, confusion='subtype'),
    )
    return Sweep('Tables 2, 3 and 5: confusion and classes', variants, source=paper.SOURCE)
