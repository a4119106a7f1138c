"""Every field of a run: its default, its meaning with unit and source, and the values that it may have.

A config file calls `alljax.config.defaults()` and changes a few. On the command line `--config.a.b=value` changes one,
and wins over everything here. [paper] is Shafique & Tehsin 2018; [MATLAB] is a default of MATLAB's trainingOptions or
of its AlexNet transfer example, which stands in where the paper is silent.
"""

from typing import Any

from alljax.config.cell_fields import CELL_FIELDS
from alljax.config.field import Field
from alljax.config.model_fields import MODEL_FIELDS

FIELDS: dict[str, Field] = {**CELL_FIELDS, **MODEL_FIELDS}

# Fields that earlier releases lack, by the beginnings of their names: a run of theirs did what the default does.
LATER = (
    'augment.blur', 'augment.gray', 'augment.jpeg', 'augment.mixup', 'augment.noise', 'augment.stain', 'baseline.',
    'calibration.', 'data.crop', 'data.device_cache_mb', 'data.groups', 'data.mask', 'data.source', 'data.stain',
    'ensemble.', 'gradients.curvature', 'loss.',
    'model.dense', 'model.norm', 'model.statistics', 'optimizer.ema', 'optimizer.layer_decay', 'precision', 'predict.',
    'report.', 'split.all_cells', 'split.draw', 'split.final_model', 'split.train_', 'test.',
)  # fmt: skip

# Values that replace the defaults in three situations, unless the user sets the field. A random start has no old layers
# to protect: every layer learns at one rate, by AdamW, and a validation fold says when to stop.
WHEN: dict[str, dict[str, Any]] = {
    'random': {
        'epochs': 30,
        'augment': {'light': 0.15},
        'model': {'dropout': 0.2},
        'optimizer': {
            'name': 'adamw',
            'rate': 2e-4,
            'factors': (('.*', 1.0),),
            'schedule': 'cosine',
            'warmup': 2.0,
            'clip': 1.0,
        },
    },
    'paper': {'augment': {'copies': 'published'}},  # split.protocol 'paper'
    'demo': {'epochs': 8, 'data': {'cells': 720, 'equalize': 'oversample'}},
}


def later_fields() -> dict[str, Any]:
    """The defaults of the fields that runs of earlier releases lack."""
    return {name: field.default for name, field in FIELDS.items() if name.startswith(LATER)}
