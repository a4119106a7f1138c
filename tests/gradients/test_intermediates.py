import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients, models
from alljax.gradients import intermediates

MODEL = tiny.Tiny()


@pytest.fixture(scope='module')
def variables():
    return tiny.variables(MODEL)


def test_the_layer_s_output_is_that_of_the_module(variables):
    x = jnp.asarray(tiny.images(2))
    logits, output = intermediates.with_layer(MODEL.apply, 'body')(variables, x)
    _, seen = MODEL.apply(variables, x, capture_intermediates=True)
    np.testing.assert_array_equal(output, seen['intermediates']['body']['__call__'][0])
    np.testing.assert_array_equal(logits, MODEL.apply(variables, x))
    assert intermediates.eval_layer_shape(MODEL.apply, variables, x, 'body').shape == (2, 4, 4, 4)
    for network in (MODEL, MODEL.apply, models.Model('tiny', MODEL.init, MODEL.apply, models.Input(8))):
        np.testing.assert_allclose(gradients.layer_output(network, variables, x, 'body'), output, rtol=1e-5, atol=1e-6)


def test_nothing_after_the_layer_is_computed(variables):
    x = jnp.asarray(tiny.images(2))
    compiled = jax.jit(lambda x: gradients.layer_output(MODEL, variables, x, 'stem')).lower(x).compile()
    assert compiled.as_text().count(' convolution(') == 1
    assert ' dot(' not in compiled.as_text()


def test_an_offset_goes_on_to_the_logits_but_is_not_in_the_output(variables):
    x = jnp.asarray(tiny.images(2))
    call = intermediates.with_layer(MODEL.apply, 'head')
    _, output = call(variables, x)
    logits, same = call(variables, x, jnp.arange(3.0))
    np.testing.assert_array_equal(same, output)
    np.testing.assert_allclose(logits, output + np.arange(3.0), rtol=1e-6)


def test_the_layers_are_named_in_the_order_in_which_they_finish(variables):
    normalized = tiny.Tiny(norm=True)
    shapes = jax.eval_shape(normalized.init, jax.random.key(0), tiny.images(1))
    expected = ['stem', 'norm', 'body', 'Dropout_0', 'head']
    assert gradients.layer_names(normalized, shapes, tiny.images(1)) == expected
    assert gradients.layer_names(normalized.apply, shapes, jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.float32)) == expected
    nested = models.create('alexnet', 3, width=0.05, head=8)
    shapes = jax.eval_shape(nested.init, jax.random.key(0))
    names = gradients.layer_names(nested, shapes, jax.ShapeDtypeStruct((1, 227, 227, 3), jnp.float32))
    assert [name for name in names if name.startswith('head')][-2:] == ['head/logits', 'head']
    assert gradients.layer_names(tiny.linear, tiny.weights(), tiny.images(1)) == []


def test_a_layer_that_there_is_not_is_told_with_the_nearest(variables):
    message = r"no layer 'stemm', did you mean 'stem'\? The layers are stem, body, .*head"
    with pytest.raises(ValueError, match=message):
        intermediates.eval_layer_shape(MODEL.apply, variables, tiny.images(2), 'stemm')
    with pytest.raises(ValueError, match=message):
        gradients.layer_output(MODEL, variables, tiny.images(2), 'stemm')


def test_a_network_of_plain_functions_has_no_layers():
    with pytest.raises(ValueError, match='calls no linen module'):
        gradients.layer_output(tiny.linear, tiny.weights(), tiny.images(2), 'stem')
