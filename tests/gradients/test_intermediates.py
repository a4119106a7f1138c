import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax.gradients import intermediates

MODEL = tiny.Tiny()


@pytest.fixture(scope='module')
def variables():
    return tiny.variables(MODEL)


def test_the_layer_s_output_is_that_of_the_module(variables):
    x = jnp.asarray(tiny.images(2))
    logits, output = intermediates.at(MODEL, 'body')(variables, x)
    _, seen = MODEL.apply(variables, x, capture_intermediates=True)
    np.testing.assert_array_equal(output, seen['intermediates']['body']['__call__'][0])
    np.testing.assert_array_equal(logits, MODEL.apply(variables, x))
    assert intermediates.shape(MODEL.apply, variables, x, 'body') == (2, 4, 4, 4)


def test_a_push_goes_on_to_the_logits_but_is_not_in_the_output(variables):
    x = jnp.asarray(tiny.images(2))
    _, output = intermediates.at(MODEL, 'head')(variables, x)
    logits, pushed = intermediates.at(MODEL, 'head')(variables, x, jnp.arange(3.0))
    np.testing.assert_array_equal(pushed, output)
    np.testing.assert_allclose(logits, output + np.arange(3.0), rtol=1e-6)


def test_a_layer_that_there_is_not_is_told_with_the_nearest(variables):
    with pytest.raises(ValueError, match=r"no layer 'stemm', did you mean 'stem'\? The layers are stem, body, .*head"):
        intermediates.shape(MODEL, variables, tiny.images(2), 'stemm')


def test_a_network_of_plain_functions_has_no_layers():
    with pytest.raises(ValueError, match='calls no linen module'):
        intermediates.shape(tiny.linear, tiny.weights(), tiny.images(2), 'stem')
