"""The attribution method of alljax/gradients/README.md has the right values, and its table names every function.

The first example of the page is run in tests/test_readme.py, with those of all pages.
"""

import inspect
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.explain.methods import METHODS

README = (Path(gradients.__file__).parent / 'README.md').read_text()
*_, METHOD, ENTRY = re.findall(r'```python\n(.*?)```', README, re.DOTALL)


@pytest.fixture
def methods():
    """The methods of the pages, as they were before."""
    before = dict(METHODS)
    yield METHODS
    METHODS.clear()
    METHODS.update(before)


def test_a_method_of_the_user_s_own_joins_the_pages(methods):
    names = {}
    exec(METHOD, names)
    exec(ENTRY, names)
    weights, x = tiny.weights(), tiny.images()
    options = SimpleNamespace(batch_size=2)
    found = methods['mine'].function(SimpleNamespace(apply=tiny.linear), weights, x, tiny.TARGET, options)
    expected = np.moveaxis((weights**2).sum(2)[..., tiny.TARGET], -1, 0)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    smooth = names['smooth_energy'](tiny.linear, weights, x, tiny.TARGET)
    np.testing.assert_allclose(smooth.map.sum(3), expected, rtol=1e-4)


def test_the_table_names_every_function_and_no_other():
    section = README.partition('## Functions')[2].partition('\n## ')[0]
    table = '\n'.join(line for line in section.splitlines() if line.startswith('| '))
    named = set(re.findall(r'`(\w+)`', table)) | {'operator'}
    functions = {name for name in gradients.__all__ if name[0].islower()}
    assert named == functions


def test_what_stands_here_for_functions_of_other_libraries_is_there():
    section = README.partition('## From other libraries')[2].partition('\n## ')[0]
    rows = [line.split(' | ')[1] for line in section.splitlines() if line.startswith('| ')][1:]
    assert len(rows) > 10
    for row in rows:
        for name, options in re.findall(r'`(\w+)(?:\(([^)`]*)\))?`', row):
            function = getattr(gradients, name, None)
            if name != 'batch_size':
                assert function, name
                known = set(inspect.signature(function).parameters)
                assert set(re.findall(r'(\w+)=', options)) <= known, row
