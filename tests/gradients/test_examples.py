"""The example of each public function's docstring is run, on one tiny network; and each says what it takes."""

import doctest
import inspect

import flax.linen as nn
import jax
import jax.numpy as jnp
import pytest
import tiny

from alljax import gradients

FUNCTIONS = {
    function.__name__: function
    for function in (getattr(gradients, name) for name in gradients.__all__)
    if inspect.isfunction(function)
}
TRANSFORMER = tiny.Transformer()


class Model(nn.Module):
    """A convolution and a dense layer."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Conv(2, (3, 3), name='stem')(x))
        return nn.Dense(3, name='head')(x.reshape(len(x), -1))


def apply(params, x):
    return jnp.tanh(x.reshape(len(x), -1)) @ params['weights'] + params['bias']


def loss(params, x, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(apply(params, x)), y[:, None], 1)[:, 0]


@pytest.fixture(scope='module')
def names():
    """What the examples use, as the docstring of the package says."""
    model, x, y = Model(), jnp.asarray(tiny.images(4)), jnp.array([0, 1, 2, 1])
    params = {'weights': jnp.asarray(tiny.weights().reshape(192, 3)) / 10, 'bias': jnp.ones(3)}
    op = gradients.curvature_operator(apply, params, x, y, where='bias|weights')
    return {
        'gradients': gradients, 'jax': jax, 'jnp': jnp, 'apply': apply, 'loss': loss, 'params': params, 'x': x, 'y': y,
        'key': jax.random.key(0), 'model': model, 'variables': tiny.variables(model), 'op': op,
        'transformer': TRANSFORMER, 'weights': tiny.variables(TRANSFORMER),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize('name', FUNCTIONS)
def test_the_example_of_a_function_runs_as_it_stands(names, name):
    page = inspect.getdoc(FUNCTIONS[name])
    example = doctest.DocTestParser().get_doctest(page, dict(names), name, None, 0)
    assert 1 <= len(example.examples) <= 3
    assert f'gradients.{name}(' in page
    said = []
    assert not doctest.DocTestRunner(verbose=False).run(example, out=said.append).failed, ''.join(said)


@pytest.mark.parametrize('name', FUNCTIONS)
def test_a_function_says_what_shapes_it_takes_and_whether_it_can_be_jitted(name):
    page = ' '.join(inspect.getdoc(FUNCTIONS[name]).split())
    assert 'jitted' in page or 'within `jit`' in page
    assert any(word in page for word in (' rank', ' shapes', 'of images', 'is an image')), page
