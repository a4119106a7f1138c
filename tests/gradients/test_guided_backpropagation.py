import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import nnx

from alljax import gradients
from alljax.gradients import guided_backpropagation

RECTIFIERS = {
    'relu': jax.nn.relu,
    'relu6': jax.nn.relu6,
    'zero first': lambda x: jnp.maximum(0.0, x),
    'jit': jax.jit(lambda x: jnp.maximum(x, 0)),
    'checkpoint': jax.checkpoint(jax.nn.relu),
}
FIRST = np.float32([[1, -1, 2], [3, 1, -1]])
SECOND = np.float32([[1, -2], [-1, 1], [2, 1]])
LAST = np.float32([[1, 2], [-3, 1]])
PARAMS = (FIRST, SECOND, LAST)
IMAGES = np.float32([[2, 1], [-1, 2], [1, 2]]).reshape(3, 1, 1, 2)


def network(rectify):
    def apply(params, x):
        first, second, last = params
        x = rectify(x.reshape(len(x), -1) @ first)
        return rectify(x @ second) @ last

    return apply


def by_hand(x, target, rule, ceiling):
    """The gradient with the rule at both rectifiers; above `ceiling` nothing comes through."""
    below = x.reshape(-1) @ FIRST
    above = np.clip(below, 0, ceiling) @ SECOND
    gradient = LAST[:, target]
    for values, weights in ((above, SECOND), (below, FIRST)):
        gradient = gradient * (values < ceiling) if ceiling < np.inf else gradient
        passes = (gradient > 0) & ((values > 0) | (rule == 'deconv'))
        gradient = weights @ np.where(passes, gradient, 0)
    return gradient.reshape(x.shape)


@pytest.mark.parametrize(('name', 'rule'), [(name, 'guided') for name in RECTIFIERS] + [('relu', 'deconv')])
def test_a_network_of_two_rectifiers_is_as_by_hand(name, rule):
    ceiling = 6 if name == 'relu6' else np.inf
    apply, target = network(RECTIFIERS[name]), np.array([0, 1, 1])
    found = gradients.guided_backprop(apply, PARAMS, IMAGES, target, rule=rule).map
    expected = [by_hand(x, wanted, rule, ceiling) for x, wanted in zip(IMAGES, target, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_the_example_tells_the_rules_apart():
    apply, target = network(jax.nn.relu), np.array([0, 1, 1])
    plain, guided, deconv = (
        np.asarray(gradients.saliency(apply, PARAMS, IMAGES, target).map),
        *(np.stack([by_hand(x, t, rule, np.inf) for x, t in zip(IMAGES, target, strict=True)])
          for rule in ('guided', 'deconv')),
    )  # fmt: skip
    assert not np.allclose(plain, guided)
    assert not np.allclose(plain, deconv)
    assert not np.allclose(guided, deconv)


def test_within_jit_it_is_the_same():
    apply = network(jax.nn.relu)
    once = gradients.guided_backprop(apply, PARAMS, IMAGES, 1).map
    np.testing.assert_array_equal(jax.jit(lambda x: gradients.guided_backprop(apply, PARAMS, x, 1).map)(IMAGES), once)
    within = network(jax.jit(jax.nn.relu))
    np.testing.assert_array_equal(gradients.guided_backprop(jax.jit(within), PARAMS, IMAGES, 1).map, once)


def test_an_nnx_module_gives_what_the_same_network_of_functions_gives():
    module = tiny.Nnx(nnx.Rngs(0))
    apply, state = tiny.of_nnx(module)
    kernel, bias = module.conv.kernel[...], module.conv.bias[...]

    def plain(params, x):
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC'))
        x = jnp.maximum(x + bias, 0).reshape(len(x), -1)
        return x @ module.head.kernel[...] + module.head.bias[...]

    found = gradients.guided_backprop(apply, state, tiny.images(), tiny.TARGET).map
    expected = gradients.guided_backprop(plain, None, tiny.images(), tiny.TARGET).map
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert not np.allclose(found, gradients.saliency(apply, state, tiny.images(), tiny.TARGET).map)


@pytest.mark.slow
def test_a_linen_module_is_taken_for_its_apply():
    model = tiny.Tiny()
    variables = tiny.variables(model)
    one, other = (
        gradients.guided_backprop(network, variables, tiny.images(2), 0).map for network in (model, model.apply)
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    'act',
    [nn.gelu, nn.leaky_relu, lambda x: jnp.maximum(x, 0.5), lambda x: jnp.maximum(x, -x)],
    ids=['gelu', 'leaky', 'another constant', 'two operands'],
)
def test_a_network_without_rectifiers_is_told(act):
    with pytest.raises(ValueError, match='no rectifiers'):
        gradients.guided_backprop(network(act), PARAMS, IMAGES, 0)


def test_a_rule_that_there_is_not_is_told():
    with tiny.unchecked(), pytest.raises(ValueError, match="rule is 'plain'"):
        gradients.guided_backprop(network(jax.nn.relu), PARAMS, IMAGES, 0, rule='plain')


def test_the_logits_stay_as_they_are():
    apply = network(RECTIFIERS['relu6'])
    changed = guided_backpropagation.with_rule(apply, guided_backpropagation.RULES['deconv'])
    np.testing.assert_array_equal(changed(PARAMS, jnp.asarray(IMAGES)), apply(PARAMS, IMAGES))


@pytest.mark.slow
def test_the_rule_of_the_rectifier_itself_gives_the_gradient():
    model = tiny.Tiny(norm=True)
    variables, x = tiny.variables(model), tiny.images(2)
    same = guided_backpropagation.with_rule(model.apply, lambda x, gradient: jnp.where(x > 0, gradient, 0))
    found = jax.grad(lambda x: same(variables, x)[:, 0].sum())(x)
    np.testing.assert_allclose(found, gradients.saliency(model.apply, variables, x, 0).map, rtol=1e-4, atol=1e-6)
