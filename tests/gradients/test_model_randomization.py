import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy.stats import spearmanr

from alljax import gradients
from alljax.gradients import Attribution, model_randomization

KEY = jax.random.key(0)
MODEL = tiny.Tiny()


def test_the_layers_are_in_the_order_of_use(variables):
    order = model_randomization.in_order_of_use(MODEL.apply, variables, tiny.images(2))
    assert order == ['params/stem', 'params/body', 'params/head']


def test_the_cascade_goes_from_the_last_layer_to_the_first_and_keeps_what_is_drawn(variables):
    seen = []

    def method(network, params, x, target):
        seen.append(params['params'])
        return gradients.saliency(network.apply, params, x, target)

    found = gradients.parameter_randomization(method, MODEL, variables, tiny.images(), tiny.TARGET, key=KEY)
    assert list(found) == ['params/head', 'params/body', 'params/stem']
    names = ('head', 'body', 'stem')
    own = variables['params']
    changed = [[not np.array_equal(params[name]['kernel'], own[name]['kernel']) for name in names] for params in seen]
    assert changed == [[False] * 3, [True, False, False], [True, True, False], [True] * 3]
    np.testing.assert_array_equal(seen[1]['head']['kernel'], seen[3]['head']['kernel'])
    for name in names:
        for leaf, drawn in zip(own[name].values(), seen[3][name].values(), strict=True):
            assert drawn.shape == leaf.shape
    before, after = own['head']['kernel'], seen[3]['head']['kernel']
    np.testing.assert_allclose([after.mean(), after.std()], [before.mean(), before.std()], atol=0.2 * before.std())


@pytest.mark.slow
def test_only_the_layers_asked_for_are_drawn_in_their_order(variables):
    seen = []

    def method(network, params, x, target):
        seen.append(params['params'])
        return gradients.saliency(network.apply, params, x, target)

    layers = ['params/stem', 'params/head/bias']
    found = gradients.parameter_randomization(method, MODEL, variables, tiny.images(), 0, key=KEY, layers=layers)
    assert list(found) == layers
    np.testing.assert_array_equal(seen[2]['head']['kernel'], variables['params']['head']['kernel'])
    assert not np.array_equal(seen[2]['head']['bias'], variables['params']['head']['bias'])
    assert not np.array_equal(seen[1]['stem']['bias'], variables['params']['stem']['bias'])
    np.testing.assert_allclose(found['params/stem'], found['params/head/bias'])  # a last bias has no gradient


@pytest.mark.slow
def test_batch_statistics_are_no_layers():
    model = tiny.Tiny(norm=True)
    order = model_randomization.in_order_of_use(model.apply, tiny.variables(model), tiny.images(2))
    assert order == ['params/stem', 'params/norm', 'params/body', 'params/head']


def test_layers_that_there_are_not_are_told(variables):
    with pytest.raises(ValueError, match=r'belongs to head, params/ste; the layers are .*params/head'):
        gradients.parameter_randomization(
            gradients.saliency, MODEL.apply, variables, tiny.images(), 0, key=KEY,
            layers=['params/head', 'head', 'params/ste'],
        )  # fmt: skip


@pytest.mark.slow
def test_the_correlation_is_spearman_s_of_absolute_values():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(2, 4, 8, 8, 3)).astype(np.float32)
    answers = iter([first, second])

    def linear(params, x):
        return tiny.linear(params['all'], x)

    found = gradients.parameter_randomization(
        lambda *arguments: Attribution(next(answers)), linear, {'all': tiny.weights()}, tiny.images(4), 0, key=KEY,
        layers=['all'],
    )  # fmt: skip
    expected = [spearmanr(np.abs(a).sum(-1).ravel(), np.abs(b).sum(-1).ravel()).statistic
                for a, b in zip(first, second, strict=True)]  # fmt: skip
    np.testing.assert_allclose(found['all'], expected, atol=1e-5)


@pytest.mark.slow
def test_an_attribution_that_does_not_know_the_weights_stays_as_it_was(variables):
    found = gradients.parameter_randomization(
        lambda network, params, x, target: Attribution(x), MODEL.apply, variables, tiny.images(), 0, key=KEY
    )
    for ranks in found.values():
        np.testing.assert_allclose(ranks, 1, atol=1e-5)


class Deep(nn.Module):
    """What guided backpropagation needs to forget what comes after: some rectifiers in a row."""

    @nn.compact
    def __call__(self, x):
        for name in ('one', 'two', 'three'):
            x = nn.relu(nn.Conv(8, (3, 3), kernel_init=nn.initializers.he_normal(), name=name)(x))
        return nn.Dense(3, name='head')(x.mean((1, 2)))


@pytest.mark.slow
def test_saliency_changes_with_the_weights_and_guided_backpropagation_less():
    model, x = Deep(), tiny.images(16)
    variables = tiny.variables(model)
    options = {'key': KEY, 'layers': ['params/head', 'params/three']}
    plain, guided = (
        gradients.parameter_randomization(method, model.apply, variables, x, 0, **options)['params/three'].mean()
        for method in (gradients.saliency, gradients.guided_backprop)
    )
    assert plain < 0.4
    assert guided > plain + 0.2


def test_a_map_that_is_flat_has_no_rank(variables):
    def flat(apply, params, x, target):
        return gradients.Attribution(jnp.ones((len(x), 8, 8)))

    found = gradients.parameter_randomization(
        flat, MODEL, variables, tiny.images(2), 0, key=KEY, layers=['params/head']
    )
    assert np.isnan(found['params/head']).all()
