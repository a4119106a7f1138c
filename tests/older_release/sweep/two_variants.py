"""A sweep of two cells of a table under two protocols, small enough for a test."""

from alljax.sweep import Sweep, Variant
from configs import subtype


def get_config():
    config = subtype.get_config()
    config.model.width, config.model.head, config.model.init, config.model.size = 0.02, 8, 'random', 64
    config.epochs, config.batch_size, config.data.cells, config.data.size = 4, 36, 40, 64
    config.optimizer.rate = 0.01
    return config


def sweep(config):
    variants = [
        Variant('RGB', {}, {'macro_precision': 0.9606, 'accuracy': None}),
        Variant('HSV', {'data.color': 'HSV'}, against='RGB'),
    ]
    return Sweep('Two color spaces', variants, ('paper', 'grouped'), source='Shafique & Tehsin 2018')
