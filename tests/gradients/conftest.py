"""Programs here are small and many: nearly all of the time goes into compiling them."""

import jax
import pytest
import tiny


@pytest.fixture(scope='module', autouse=True)  # that of a package without __init__.py is a session's
def hasty():
    """XLA compiles without most optimizations, which takes half of the time and changes rounding errors alone."""
    before = jax.config.values['jax_disable_most_optimizations']
    jax.config.update('jax_disable_most_optimizations', True)
    yield
    jax.config.update('jax_disable_most_optimizations', before)


@pytest.fixture(scope='session')
def variables():
    """Those of the tiny network of most tests here."""
    return tiny.variables(tiny.Tiny())
