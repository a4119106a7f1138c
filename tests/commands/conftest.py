"""A small run for the commands that take one, and a log that outlives them."""

import logging
import sys

import absl.logging
import pytest
from helpers import save_untrained_run


@pytest.fixture(autouse=True)
def _log_as_before():
    """Leaves the log to the next test as it was: a command writes it to a stream that ends with its test."""
    root, package = logging.getLogger(), logging.getLogger('alljax')
    absl.logging.get_absl_handler().python_handler.stream = sys.__stderr__  # it closes any other when it is removed
    before = root.handlers[:], root.level, package.level, package.propagate
    yield
    root.handlers[:], root.level, package.level, package.propagate = before


@pytest.fixture(scope='session')
def run(tmp_path_factory):
    """A run folder with a model that was never trained."""
    return save_untrained_run(tmp_path_factory.mktemp('commands') / 'run', 96)
