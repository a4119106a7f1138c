"""Comparisons with other libraries are slow tests: torch alone takes seconds to import in each process."""

import pytest


def pytest_ignore_collect(config):
    """Spares the quick tests that import."""
    return True if 'not slow' in config.getoption('markexpr') else None


def pytest_collection_modifyitems(items):
    """Marks them all."""
    for item in items:
        if 'parity' in item.path.parts:
            item.add_marker(pytest.mark.slow)
