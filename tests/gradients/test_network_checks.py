import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from flax import nnx

from alljax import gradients
from alljax.gradients import network_checks


def test_integer_images_are_told_to_be_normalized():
    with tiny.unchecked(), pytest.raises(TypeError, match=r'x is uint8: .*normalize'):
        gradients.saliency(tiny.linear, tiny.weights(), np.zeros((2, 8, 8, 3), np.uint8), 0)


def test_batch_normalization_in_training_mode_is_refused_by_name():
    model = tiny.Tiny(norm=True)
    variables = tiny.variables(model)

    def training(variables, x):
        return model.apply(variables, x, train=True, mutable=['batch_stats'])[0]

    with pytest.raises(ValueError, match='norm is in training mode'):
        gradients.saliency(training, variables, tiny.images(), 0)
    assert network_checks.classes('test', model.apply, variables, tiny.images()) == 3


def test_dropout_that_is_on_is_refused():
    model = tiny.Tiny(dropout=0.5)
    variables = tiny.variables(model)

    def training(variables, x):
        return model.apply(variables, x, train=True, rngs={'dropout': jax.random.key(0)})

    with pytest.raises(ValueError, match='Dropout_0 is in training mode'):
        gradients.saliency(training, variables, tiny.images(), 0)
    assert network_checks.classes('test', model.apply, variables, tiny.images()) == 3


@pytest.mark.slow
def test_dropout_that_never_drops_is_no_training():
    model = tiny.Tiny(dropout=0.0)

    def training(variables, x):
        return model.apply(variables, x, train=True)

    assert network_checks.classes('test', training, tiny.variables(model), tiny.images()) == 3


def test_a_function_that_mixes_the_images_of_a_batch_is_refused():
    def mixing(weights, x):
        return tiny.linear(weights, x - x.mean(0))

    with pytest.raises(ValueError, match='change with the other images'):
        gradients.saliency(mixing, tiny.weights(), tiny.images(), 0)


def test_an_nnx_network_is_taken_in_evaluation_and_refused_in_training():
    module = tiny.Nnx(nnx.Rngs(0), norm=True)
    module.eval()
    apply, state = tiny.of_nnx(module)
    assert network_checks.classes('test', apply, state, tiny.images()) == 3
    module.train()
    apply, state = tiny.of_nnx(module)
    with pytest.raises(ValueError, match='change with the other images'):
        network_checks.classes('test', apply, state, tiny.images())


@pytest.mark.parametrize(
    ('result', 'found'),
    [
        (lambda logits: (logits, logits), 'tuple'),
        (lambda logits: {'logits': logits}, 'dict'),
        (lambda logits: logits[:, :, None], r'\(5, 3, 1\)'),
        (lambda logits: logits.T, r'\(3, 5\)'),
    ],
    ids=['tuple', 'dict', 'more axes', 'classes first'],
)
def test_what_is_no_batch_of_logits_is_told(result, found):
    def apply(weights, x):
        return result(tiny.linear(weights, x))

    with pytest.raises(ValueError, match=f'returned {found} for 5 images'):
        gradients.saliency(apply, tiny.weights(), tiny.images(), 0)


@pytest.mark.parametrize('target', [3, -1, np.array([0, 1, 2, 3, 0])], ids=['above', 'below', 'one of five'])
def test_a_target_that_the_network_has_not_is_told(target):
    with pytest.raises(ValueError, match='3 logits'):
        gradients.saliency(tiny.linear, tiny.weights(), tiny.images(), target)


def test_one_target_for_all_images_is_that_target_for_each():
    wanted = network_checks.prepare('test', tiny.linear, tiny.weights(), tiny.images(), 2)[1]
    np.testing.assert_array_equal(wanted, [2] * 5)


def test_a_traced_target_is_taken():
    weights, x = tiny.weights(), tiny.images(2)
    found = jax.jit(lambda target: gradients.saliency(tiny.linear, weights, x, target).map)(jnp.array([2, 0]))
    np.testing.assert_allclose(found, np.stack([weights[..., 2], weights[..., 0]]), rtol=1e-6)


def test_the_network_is_looked_at_once():
    calls = []

    def counted(weights, x):
        calls.append(x.shape)
        return tiny.linear(weights, x)

    network_checks.classes('test', counted, tiny.weights(), tiny.images())
    before = len(calls)
    network_checks.classes('test', counted, tiny.weights(2), tiny.images(seed=2))
    assert len(calls) == before


class Dropped(nnx.Module):
    """A dense layer after dropout."""

    def __init__(self, rngs):
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.head = nnx.Linear(192, 3, rngs=rngs)

    def __call__(self, x):
        return self.head(self.dropout(x.reshape(len(x), -1)))


def test_an_nnx_network_with_dropout_is_taken_in_evaluation_and_refused_in_training():
    module = Dropped(nnx.Rngs(0))
    apply, state = tiny.of_nnx(module)
    with pytest.raises(ValueError, match=r'change with .*: the network is in training mode'):
        gradients.saliency(apply, state, tiny.images(), 0)
    with pytest.raises(ValueError, match=r'the network changes its own variables .* NNX .*eval\(\) before nnx\.split'):
        gradients.saliency(lambda params, x: module(x), {}, tiny.images(), 0)
    module.eval()
    apply, state = tiny.of_nnx(module)
    assert gradients.saliency(apply, state, tiny.images(), 0).map.shape == (5, 8, 8, 3)


def test_the_layers_of_an_nnx_network_are_its_modules():
    module = tiny.Nnx(nnx.Rngs(0))
    graph, params, rest = nnx.split(module, nnx.Param, ...)

    def loss(params, x, y):
        return jnp.sum(nnx.merge(graph, params, rest)(x)[:, 0])

    found = gradients.gradient_statistics(loss, params, tiny.images(), tiny.TARGET)
    assert list(found) == ['all', 'conv', 'head']
    assert list(gradients.update_ratio(params, params)) == ['conv', 'head']
