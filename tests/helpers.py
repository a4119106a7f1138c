"""Small data and networks for tests."""

import numpy as np

from alljax import config as fields
from alljax.config import resolve
from alljax.data.cells import Cells, Origin


def make_cells(labels, groups=None, size=64, seed=0, repeats=None):
    """Noise cells with the given labels and groups."""
    labels = np.asarray(labels, np.int32)
    groups = np.arange(len(labels), dtype=np.int32) if groups is None else np.asarray(groups, np.int32)
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (len(labels), size, size, 3), np.uint8)
    images[np.arange(len(labels)), :8, :8, 0] = (labels * 60)[:, None, None]
    return Cells(
        images=images,
        labels=labels,
        groups=groups,
        repeats=np.full(len(labels), -1, np.int32) if repeats is None else np.asarray(repeats, np.int32),
        names=tuple(f'{n:03}.png' for n in range(len(labels))),
        classes=tuple(f'class{n}' for n in range(labels.max() + 1)),
        group_names=tuple(f'group{n}' for n in range(groups.max() + 1)),
        origin=Origin('folder', 'f' * 64, False, '/nowhere'),
    )


def plan_of(config):
    """The plan of a config from random weights, with every field as it stands there."""
    changed = fields.with_fields(config, {'model.init': 'random'} if config.model.init == 'imagenet' else {})
    return resolve.resolve(changed, fields.flat(changed))
