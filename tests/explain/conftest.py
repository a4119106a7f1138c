"""A run that was trained, however little, for what explains it with the cells that it was trained on."""

import pytest

from alljax import config
from alljax.config import resolve
from alljax.runs import experiment


@pytest.fixture(scope='session')
def trained_run(tmp_path_factory):
    """A narrow AlexNet after an epoch in which each step looked at its gradients. Copy it before changing it."""
    given = {
        'data.name': 'synthetic', 'data.cells': '60', 'data.size': '64', 'epochs': '1', 'model.name': 'alexnet',
        'model.width': '0.06', 'model.head': '8', 'model.size': '64', 'model.init': 'random', 'gradients.every': '1',
        'report.heat_maps': 'False',
    }  # fmt: skip
    values = config.load('configs/subtype.py')
    config.override(values, given)
    return experiment.run(resolve.resolve(values, given), tmp_path_factory.mktemp('runs') / 'run')
