"""Fixtures of the comparisons with other libraries."""

import functools

import pytest

from alljax.weights import convert


@pytest.fixture(scope='session', autouse=True)
def shapes():
    """Keeps the shapes of networks, each of which takes seconds to trace, for what is converted to them."""
    traced = convert.shapes
    convert.shapes = functools.cache(traced)
    yield
    convert.shapes = traced
