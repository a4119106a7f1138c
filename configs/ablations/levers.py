r"""Each lever for slides never seen, alone: what it adds to one plain model, by slide.

    python launch.py --config=configs/ablations/levers.py --config.data.root=/path/to/cells
    python launch.py --config=configs/ablations/levers.py --config.data.root=/path/to/cells --config.parts="('light',)"

The plain model is that of configs/my_cells.py: AlexNet's ImageNet convolutions, frozen, and one linear layer. Every row
changes one thing of the row that it is compared with; levers of a part of the network that is frozen there are tried
where all layers learn. configs/ablations/new_slide.py is the path to the recipe that wins, where levers add up.
"""

from typing import Any

from ml_collections import ConfigDict

from alljax import config as fields
from alljax.errors import UserError
from alljax.sweep import Sweep, Variant
from configs import my_cells, new_slide

Rows = tuple[tuple[str, dict[str, Any]], ...]
Part = tuple[str, dict[str, Any], Rows]  # a plain row with its fields, and rows that change one thing in it
PLAIN, COPIES, LEARNING, NORMALIZED, FEATURES = (
    'AlexNet convolutions, frozen',
    'turned and mirrored copies',
    'all layers learn',
    'EfficientNet-Lite0, frozen',
    'logistic regression',
)
ALL_LEARN = {
    'model.freeze': '', 'optimizer.rate': 1e-4, 'optimizer.factors': (('head/.*', 10.0), ('.*', 1.0)), 'epochs': 8,
    'augment.rotate': 180.0, 'augment.mirror': True,
}  # fmt: skip
LITE0 = {'model.name': 'efficientnet_lite0', 'model.init': 'imagenet'}
SIDE_BY_SIDE = {
    'baseline.system': 'putzu2014', 'baseline.classify': ('logistic',), 'baseline.components': 0,
    'baseline.hierarchical': False,
}  # fmt: skip

PARTS: dict[str, Part] = {
    'light': (PLAIN, {}, (
        ('white balance', {'data.stain': 'white_balance'}),
        ('Macenko', {'data.stain': 'macenko'}),
        ('Reinhard', {'data.stain': 'reinhard'}),
        ('gray', {'data.color': 'gray'}),
    )),
    'surroundings': (PLAIN, {}, (
        ('the cell on white', {'data.mask': 'rawat2017'}),
        ('the cell, all else blurred', {'data.mask': 'rawat2017', 'data.mask_fill': 'blur'}),
        ('the nucleus on white', {'data.mask': 'rawat2017', 'data.mask_part': 'nucleus'}),
        ('crop of 160 pixels', {'data.crop': 160}),
    )),
    'jitter': (COPIES, {'augment.copies': 'published', 'augment.rotate': 180.0, 'augment.mirror': True}, (
        ('light', {'augment.light': 0.2}),
        ('stain', {'augment.stain': 0.2}),
        ('blur', {'augment.blur': 2.0}),
        ('noise', {'augment.noise': 15.0}),
        ('JPEG', {'augment.jpeg': 40}),
        ('gray copies', {'augment.gray': 0.5}),
    )),
    'learning': (PLAIN, {}, (
        ('classes and slides balanced in a batch', {'data.equalize': 'batches'}),
        ('label smoothing', {'loss.smoothing': 0.1}),
        ('average of parameters', {'optimizer.ema': 0.98}),
        ('group DRO', {'loss.robust': 'group_dro'}),
    )),
    'prediction': (PLAIN, {}, (
        ('eight turns', {'predict.turns': 8}),
        ('eight turns, two copies of other stain', {'predict.turns': 8, 'predict.copies': 2, 'augment.stain': 0.2}),
    )),
    'features': (FEATURES, {**SIDE_BY_SIDE, 'baseline.features': ('network',)}, (
        ('two networks side by side', {'baseline.networks': ('alexnet', 'efficientnet_lite0')}),
        ('with measurements', {'baseline.features': ('network', *new_slide.MEASUREMENTS)}),
        ('standardized by slide', {'baseline.standardize': 'slide'}),
        ('standardized by set', {'baseline.standardize': 'set'}),
    )),
    'statistics': (NORMALIZED, LITE0, (
        ('of the test slide', {'model.statistics': 'test_slide'}),
        ('of the test set', {'model.statistics': 'test_set'}),
    )),
    'all_layers': (LEARNING, ALL_LEARN, (
        ('rates fall by layer', {'optimizer.layer_decay': 0.6}),
        ('mixup', {'augment.mixup': 0.2}),
        ('average of parameters, all layers', {'optimizer.ema': 0.98}),
        ('group DRO, all layers', {'loss.robust': 'group_dro'}),
    )),
}  # fmt: skip


def get_config() -> ConfigDict:
    """The plain model, by five grouped folds whose slides are dealt in any order."""
    config = my_cells.get_config()
    config.data.groups = 'named'
    config.model.name, config.model.init = 'alexnet', 'imagenet:convolutions'
    config.split.folds, config.split.draw, config.split.final_model = 5, 'shuffled', False
    config.calibration.fit = 'none'
    config.report.heat_maps = False
    config.parts = tuple(PARTS)
    return config


def sweep(config: ConfigDict) -> Sweep:
    """The plain rows, each followed by those that change one thing in it."""
    if problems := fields.unknown('config.parts', config.parts, PARTS):
        raise UserError(*problems)
    variants: dict[str, Variant] = {}
    for plain, its, rows in (PARTS[part] for part in config.parts):
        variants.setdefault(plain, Variant(plain, its, against=PLAIN if plain == COPIES and PLAIN in variants else ''))
        variants |= {name: Variant(name, its | changed, against=plain) for name, changed in rows}
    return Sweep('One lever at a time', tuple(variants.values()), ('grouped',))
