"""The blocks of alljax/gradients/networks.md: a network of each library, and what is asked of it."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients

PAGE = (Path(gradients.__file__).parent / 'networks.md').read_text()
SECTIONS = dict(re.findall(r'^## ([^\n]*)\n.*?```python\n(.*?)```', PAGE, re.DOTALL | re.MULTILINE))
LAYERS = {
    'Linen': {'layers_0', 'layers_3'}, 'NNX': {'layers/0', 'layers/3'}, 'Equinox': {'layers/0', 'layers/2'},
    'Haiku': {'conv2_d', 'linear'}, 'Plain functions, scanned layers': {'in', 'layers', 'out'},
}  # fmt: skip
OF_OTHERS = {'Equinox': 'equinox', 'Haiku': 'haiku'}


def names_of(*sections):
    names = {
        'jax': jax,
        'jnp': jnp,
        'gradients': gradients,
        'x': jnp.asarray(tiny.images(4)),
        'y': jnp.array([0, 1, 2, 1]),
    }
    for section in sections:
        exec(SECTIONS[section], names)
    return names


@pytest.mark.slow
@pytest.mark.parametrize(
    'section', [pytest.param(name, marks=pytest.mark.slow) if name in OF_OTHERS else name for name in LAYERS]
)
def test_a_network_of_each_library_is_asked_in_few_lines(section):
    if section in OF_OTHERS:
        pytest.importorskip(OF_OTHERS[section], reason=f'{section} is not installed: pip install -e .[parity]')
    names = names_of(section)
    apply, params, x, y = (names[name] for name in ('apply', 'params', 'x', 'y'))
    lines = [line for line in SECTIONS[section].splitlines() if line.strip() and not re.match('import|from', line)]
    assert len(lines) <= 7

    def loss(params, x, y):
        return -jnp.take_along_axis(jax.nn.log_softmax(apply(params, x)), y[:, None], 1)[:, 0]

    expected = jax.jit(jax.grad(lambda x: apply(params, x)[jnp.arange(4), y].sum()))(x)
    found = gradients.saliency(apply, params, x, y, batch_size=3).map
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    statistics = gradients.gradient_statistics(loss, params, x, y)
    assert set(statistics) == {'all', *LAYERS[section]}
    slope = jax.jit(jax.grad(lambda params: loss(params, x, y).mean()))(params)
    length = np.sqrt(sum(np.sum(np.square(leaf)) for leaf in jax.tree.leaves(slope)))
    np.testing.assert_allclose(statistics['all'].norm, length, rtol=1e-4)
    op = gradients.curvature_operator(apply, params, x, y, kind='ggn')
    found = jax.eval_shape(lambda key: gradients.eigenvectors(op, 1, key=key, iterations=3)[1][0], jax.random.key(0))
    assert jax.tree.structure(found) == jax.tree.structure(params)


@pytest.mark.slow
def test_a_layer_inside_any_network_is_shown_by_its_two_parts():
    names = names_of('NNX', 'A layer inside')
    assert names['heat'].shape == (4, 8, 8)
    assert names['inner'].shape == (4, 8, 8, 4)
    found = gradients.saliency(names['network'], names['params'], names['x'], names['y']).map
    whole = gradients.saliency(names['apply'], names['params'], names['x'], names['y']).map
    np.testing.assert_allclose(found, whole, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_the_block_of_devices_runs_on_one():
    names = names_of('Plain functions, scanned layers', 'Many devices')
    assert names['found'].map.sharding.is_equivalent_to(names['x'].sharding, 4)


def test_all_blocks_are_tried():
    assert set(SECTIONS) == {*LAYERS, 'A layer inside', 'Many devices'}
    assert PAGE.count('```python') == len(SECTIONS)
