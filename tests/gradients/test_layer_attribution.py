import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.gradients.intermediates import layer_gradient
from alljax.gradients.layer_attribution import _units

X = jnp.asarray(tiny.images(2))
TARGET = np.array([2, 1])


@pytest.fixture(scope='module')
def smooth():
    model = tiny.Tiny(act=jnp.tanh)
    return model, tiny.variables(model)


def test_conductance_adds_up_to_the_change_of_the_logit_and_to_integrated_gradients(smooth):
    """What flows through a neuron comes from the inputs: summed over either, it is the whole change."""
    model, variables = smooth
    given = (model, variables, X, TARGET)
    found = gradients.layer_conductance(*given, layer='body', steps=8, baseline=0.2)
    change = np.asarray(model.apply(variables, X) - model.apply(variables, jnp.full_like(X, 0.2)))
    change = change[np.arange(2), TARGET]
    np.testing.assert_allclose(found.map.sum((1, 2, 3)), change, rtol=1e-3)
    np.testing.assert_allclose(found.gap, 0, atol=1e-4)
    neuron = gradients.neuron_conductance(*given, layer='body', neuron=(1, 2, 3), steps=8, baseline=0.2)
    np.testing.assert_allclose(neuron.map.sum((1, 2, 3)), found.map[:, 1, 2, 3], rtol=1e-3, atol=1e-5)
    by_difference = gradients.layer_conductance(*given, layer='body', steps=300, baseline=0.2, rule='difference')
    np.testing.assert_allclose(by_difference.map, found.map, atol=0.02 * np.abs(found.map).max())


def test_the_rule_of_differences_is_as_by_hand(smooth):
    model, variables = smooth
    nodes = (np.polynomial.legendre.leggauss(4)[0] + 1) / 2
    expected, before = 0, None
    for node in nodes:
        found = layer_gradient(model.apply, variables, (node * X).astype(np.float32), jnp.asarray(TARGET), 'body')
        if before is not None:
            expected += np.asarray(before[0] * (found[1] - before[1]))
        before = found
    found = gradients.layer_conductance(model, variables, X, TARGET, layer='body', steps=3, rule='difference').map
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_a_neuron_takes_the_place_of_a_logit_for_any_method(smooth):
    model, variables = smooth
    output = np.asarray(gradients.layer_output(model, variables, X, 'body'))
    assert np.asarray(_units(model.apply, 'body')(variables, X))[0, np.ravel_multi_index((1, 2, 3), (4, 4, 4))] == (
        pytest.approx(output[0, 1, 2, 3], rel=1e-5)
    )
    method, options = gradients.integrated_gradients, {'steps': 8}
    found = gradients.neuron_attribution(method, model, variables, X, (1, 2, 3), layer='body', **options)
    base = gradients.layer_output(model, variables, jnp.zeros_like(X), 'body')
    np.testing.assert_allclose(found.map.sum((1, 2, 3)), (output - base)[:, 1, 2, 3], rtol=1e-3)
