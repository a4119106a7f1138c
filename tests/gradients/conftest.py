"""Programs here are small and many: nearly all of the time goes into compiling them."""

import jax
import pytest


@pytest.fixture(scope='package', autouse=True)
def hasty():
    """XLA compiles without most optimizations, which takes half of the time and changes rounding errors alone."""
    before = jax.config.values['jax_disable_most_optimizations']
    jax.config.update('jax_disable_most_optimizations', True)
    yield
    jax.config.update('jax_disable_most_optimizations', before)
