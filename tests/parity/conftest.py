"""Fixtures of the comparisons with other libraries."""

import functools

import pytest
from helpers import traced_once

from alljax.weights import convert


@pytest.fixture(scope='session', autouse=True)
def shapes():
    """Keeps the shapes of networks, each of which takes seconds to trace, for what is converted to them."""
    traced = convert.shapes
    convert.shapes = functools.cache(traced_once(traced))
    yield
    convert.shapes = traced
