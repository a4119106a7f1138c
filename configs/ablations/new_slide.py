r"""The path to configs/new_slide.py, one lever at a time, on slides that no training cell is from.

    python launch.py --config=configs/ablations/new_slide.py --config.data.root=/path/to/cells
    python launch.py --config=configs/ablations/new_slide.py --config.data.root=/path/to/cells \
        --config.networks=False --config.test.root=/path/to/cells/of/another/laboratory

Five grouped folds, three repetitions. Every row is compared with the one above it by a paired test; the first two are
ImageNet networks without training of their own layers, for which `alljax weights efficientnet_lite0` and
`alljax weights alexnet --convolutions` have to be at hand.
"""

from typing import Any

from ml_collections import ConfigDict

from alljax.sweep import Sweep, Variant
from configs import new_slide

SYSTEM = 'putzu2014'


def get_config() -> ConfigDict:
    """The recipe, by five grouped folds and three repetitions."""
    config = new_slide.get_config()
    config.split.folds, config.split.repeats, config.split.draw = 5, 3, 'shuffled'
    config.networks = True  # the rows of ImageNet networks
    return config


def sweep(config: ConfigDict) -> Sweep:
    """A row a lever."""
    _, final = new_slide.candidate(SYSTEM, new_slide.CLASSIFIERS[SYSTEM], 'white_balance')
    alone: dict[str, Any] = {'ensemble.candidates': ()}
    rows: list[tuple[str, dict[str, Any]]] = []
    if config.networks:
        rows += [
            ('EfficientNet-Lite0 features', alone | _network('efficientnet_lite0', 'imagenet')),
            ('AlexNet convolutions', alone | _network('alexnet', 'imagenet:convolutions')),
        ]
    steps = (
        (f'{SYSTEM} as published', ('baseline.system',)),
        ('white balance', ('data.stain',)),
        ('logistic regression', ('baseline.classify',)),
        ('more measurements', ('baseline.features',)),
    )
    fields = alone
    for name, changed in steps:
        fields = fields | {key: final[key] for key in changed}
        rows.append((name, fields))
    rows += [
        ('four of eight, averaged', {}),
        ('all eight, averaged', {'ensemble.choose': 'all'}),
    ]
    above = ['', *(name for name, _ in rows)]
    variants = [Variant(name, its, against=before) for (name, its), before in zip(rows, above, strict=False)]
    return Sweep('The path to a new slide', variants, ('grouped',))


def _network(name: str, init: str) -> dict[str, Any]:
    """A network's features of the whole picture, told apart by logistic regression."""
    return {
        'baseline.system': 'vogado2017', 'baseline.classify': ('logistic',), 'model.name': name, 'model.init': init,
    }  # fmt: skip
