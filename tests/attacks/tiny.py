"""A config of a network so small that a run takes a second: what is attacked is everything around it."""

import flax.linen as nn

from alljax.models import MODELS, Input, Network
from configs import subtype


class Tiny(nn.Module):
    """Two layers and a batch normalization, before the last layers."""

    head: nn.Module

    @nn.compact
    def __call__(self, x, train=False):
        x = nn.BatchNorm(use_running_average=not train)(nn.Conv(4, (3, 3), strides=4)(x))
        return self.head(nn.relu(x).mean((1, 2)))


MODELS['tiny'] = Network(Tiny, Input(32))


def get_config():
    """A subtype run of the tiny network; the command line gives the rest, since a demo would set its own."""
    config = subtype.get_config()
    config.model.name, config.model.init, config.model.head = 'tiny', 'random', 8
    config.data.name, config.data.size, config.split.validation = 'synthetic', 64, 0.2
    config.report.heat_maps = False  # which take longer than the rest of the run
    return config
