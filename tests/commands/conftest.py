"""A small run for the commands that take one."""

import pytest
from helpers import save_untrained_run


@pytest.fixture(scope='session')
def run(tmp_path_factory):
    """A run folder with a model that was never trained."""
    return save_untrained_run(tmp_path_factory.mktemp('commands') / 'run', 96)
