"""What the tests of gradients share."""

import pytest
import tiny


@pytest.fixture(scope='session')
def variables():
    """Those of the tiny network of most tests here."""
    return tiny.variables(tiny.Tiny())
