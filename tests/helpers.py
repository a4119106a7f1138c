"""Small data and networks for tests."""

from pathlib import Path

import jax
import numpy as np

from alljax import config as fields
from alljax import models
from alljax.config import resolve
from alljax.data.cells import Cells, Origin
from alljax.storage import model_folder
from alljax.storage.card import Card


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


def save_untrained_run(folder: Path, size: int) -> Path:
    """A run folder as training leaves it, with the model/ alone: AlexNet of a tenth of the width, as it was drawn."""
    options = {'head': 8, 'size': size, 'width': 0.1, 'color': 'HSV'}
    classes = ('L1', 'L2', 'L3', 'normal')
    model = models.create('alexnet', len(classes), **options)
    spec = models.NetworkSpec('alexnet', options)
    card = Card(classes, spec, model.input, data_size=128, denoise='mean', synthetic=True)
    model_folder.write(folder / 'model', model.init(jax.random.key(1)), card)
    return folder
