"""Gradients of single examples and what is computed of them, against loops of `jax.grad` and against NumPy."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from alljax import gradients
from alljax.gradients import example_statistics
from alljax.gradients.named_parameters import by_layer, named

cross_entropy = optax.softmax_cross_entropy_with_integer_labels
MODEL = tiny.Tiny(act=nn.tanh)
LABELS = np.array([0, 2, 2, 0, 2])  # none of class 1
DECAY = 0.3


def loss(params, x, y):
    return cross_entropy(MODEL.apply(params, x), y)


def mean_loss(params, x, y):
    return loss(params, x, y).mean()


def decayed(params, x, y):
    return loss(params, x, y) + DECAY * sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(params))


def head_bias(gradient):
    return gradient['params']['head']['bias']


@pytest.fixture(scope='module')
def params():
    return tiny.variables(MODEL)


@pytest.fixture(scope='module')
def wide(params):
    """The parameters in float64."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params)


@pytest.fixture(scope='module')
def looped(wide):
    """Name → gradients [N, …] of a loop over the images, in float64."""

    @jax.jit
    def gradient(x, y):
        return jax.grad(lambda params: loss(params, x[None], y[None])[0])(wide)

    with jax.enable_x64(True):
        found = [named(gradient(*one)) for one in zip(tiny.images().astype(np.float64), LABELS, strict=True)]
    return {name: np.stack([np.asarray(one[name]) for one in found]) for name in found[0]}


def squares(gradients):
    return sum((leaf.reshape(len(leaf), -1) ** 2).sum(1) for leaf in gradients.values())


@pytest.mark.parametrize(
    ('given', 'reduce'),
    [
        (loss, None), (loss, 'norm'), (loss, 'squared'), (loss, head_bias), (mean_loss, 'norm'),
        *[pytest.param(mean_loss, reduce, marks=pytest.mark.slow) for reduce in (None, 'squared', head_bias)],
    ],
)  # fmt: skip
def test_gradients_of_examples_are_those_of_a_loop(params, looped, given, reduce):
    x, expected = tiny.images(), looped
    found = gradients.per_example_gradients(given, params, x, LABELS, reduce=reduce, batch_size=3)
    if reduce is None:
        assert jax.tree.structure(found) == jax.tree.structure(params)
        for name, leaf in named(found).items():
            np.testing.assert_allclose(leaf, expected[name], rtol=1e-5, atol=1e-5 * np.abs(expected[name]).max())
    elif reduce is head_bias:
        np.testing.assert_allclose(found, expected['params/head/bias'], rtol=1e-5, atol=1e-6)
    else:
        wanted = squares(expected)
        np.testing.assert_allclose(found, np.sqrt(wanted) if reduce == 'norm' else wanted, rtol=1e-5)


@pytest.mark.parametrize('reduce', ['squared', pytest.param(None, marks=pytest.mark.slow)])
def test_weight_decay_in_the_loss_counts_for_every_example(params, looped, reduce):
    x = tiny.images()
    leaves = named(params)
    expected = {name: leaf + 2 * DECAY * np.asarray(leaves[name]) for name, leaf in looped.items()}
    found = gradients.per_example_gradients(decayed, params, x, LABELS, reduce=reduce, batch_size=3)
    if reduce:
        np.testing.assert_allclose(found, squares(expected), rtol=1e-5)
    else:
        for name, leaf in named(found).items():
            np.testing.assert_allclose(leaf, expected[name], rtol=1e-5, atol=1e-5 * np.abs(expected[name]).max())


@pytest.mark.parametrize('given', [loss, decayed, pytest.param(mean_loss, marks=pytest.mark.slow)])
def test_statistics_are_those_of_the_written_out_gradients(wide, looped, given):
    with jax.enable_x64(True):
        found = gradients.gradient_statistics(given, wide, tiny.images().astype(np.float64), LABELS, batch_size=3)
    shift = 2 * DECAY if given is decayed else 0
    each = {name: leaf + shift * named(wide)[name] for name, leaf in looped.items()}
    groups = {'all': list(each)} | by_layer(each)
    assert list(found) == list(groups) == ['all', 'params/body', 'params/head', 'params/stem']
    for layer, names in groups.items():
        flat = np.concatenate([each[name].reshape(5, -1) for name in names], 1)
        mean = flat.mean(0)
        variance = ((flat - mean) ** 2).sum() / 4
        signal = mean @ mean - variance / 5
        expected = (
            np.linalg.norm(mean), variance, mean @ mean / variance, variance / signal if signal > 0 else np.inf,
            (flat**2).sum() / (flat.sum(0) ** 2).sum(),
        )  # fmt: skip
        np.testing.assert_allclose(found[layer], expected, rtol=1e-6, err_msg=layer)


def test_the_noise_scale_is_infinite_where_the_noise_hides_the_signal():
    """Of two gradients, g and −g/2: the mean is g/4, its noise larger."""
    found = example_statistics.from_sums(2, 1.25, 0.25)
    assert np.isinf(found.noise_scale)
    assert float(found.norm) == pytest.approx(0.25)
    assert float(found.variance) == pytest.approx(1.125)
    alike = example_statistics.from_sums(4, 4.0, 16.0)  # four times the same gradient of length 1
    np.testing.assert_allclose(alike, [1, 0, np.inf, 0, 0.25])


def test_class_gradients_are_means_and_classes_without_examples_are_like_no_other(wide, looped):
    with jax.enable_x64(True):
        x = tiny.images().astype(np.float64)
        found = gradients.class_gradients(loss, wide, x, LABELS, classes=4, batch_size=2)
        lying = gradients.gradient_similarity(found)
    means = {
        name: np.stack(
            [leaf[wanted == LABELS].mean(0) if wanted in LABELS else np.zeros(leaf.shape[1:]) for wanted in range(4)]
        )
        for name, leaf in looped.items()
    }
    for name, leaf in named(found).items():
        np.testing.assert_allclose(leaf, means[name], rtol=1e-6, atol=1e-6 * np.abs(means[name]).max())
    flat = np.concatenate([leaf.reshape(4, -1) for leaf in means.values()], 1)
    cosine = flat[0] @ flat[2] / np.linalg.norm(flat[0]) / np.linalg.norm(flat[2])
    expected = np.zeros((4, 4))
    expected[[0, 2, 0, 2], [0, 2, 2, 0]] = 1, 1, cosine, cosine
    assert cosine < 0
    np.testing.assert_allclose(lying.cosine, expected, atol=1e-6)
    np.testing.assert_allclose(lying.conflict, np.maximum(-expected, 0), atol=1e-6)


@pytest.mark.slow
def test_class_gradients_of_one_number_for_a_batch_are_the_same(wide):
    with jax.enable_x64(True):
        x = tiny.images().astype(np.float64)
        one, other = (gradients.class_gradients(given, wide, x, LABELS, batch_size=2) for given in (loss, mean_loss))
    for name, leaf in named(one).items():
        assert len(leaf) == 3  # one more than the largest label
        np.testing.assert_allclose(named(other)[name], leaf, rtol=1e-9, atol=1e-12)


def test_update_ratios_are_those_of_the_norms_of_layers(wide):
    rng = np.random.default_rng(0)
    updates = jax.tree.map(lambda leaf: 0.01 * rng.normal(size=leaf.shape), wide)
    with jax.enable_x64(True):
        found = gradients.update_ratio(wide, updates)
    assert set(found) == {'params/stem', 'params/body', 'params/head'}
    for layer, ratio in found.items():
        leaves, changes = (tree['params'][layer.removeprefix('params/')] for tree in (wide, updates))
        both = [np.linalg.norm(np.concatenate([leaf.ravel() for leaf in tree.values()])) for tree in (changes, leaves)]
        np.testing.assert_allclose(ratio, both[0] / both[1], rtol=1e-6)


@jax.custom_vjp
def wrong(x):
    return jnp.sin(x)


wrong.defvjp(lambda x: (jnp.sin(x), x), lambda x, cotangent: (1.1 * cotangent * jnp.cos(x),))


@pytest.mark.parametrize(('function', 'right'), [(jnp.sin, True), (wrong, False)])
def test_the_check_tells_a_right_derivative_from_a_wrong_one(function, right):
    leaves = {'a': np.linspace(0.1, 1, 6, dtype=np.float32), 'count': np.array(3)}

    def total(leaves, x):
        return jnp.sum(function(leaves['a'] * x) * leaves['count'])

    found = np.asarray(gradients.check_gradient(total, leaves, np.float32(1.3), key=jax.random.key(0), directions=4))
    assert found.shape == (4,)
    assert found.dtype == np.float64
    assert (found < 1e-7).all() if right else (found > 1e-2).all()


@pytest.mark.slow
def test_the_check_finds_the_gradients_of_a_network_right(params):
    found = gradients.check_gradient(mean_loss, params, tiny.images(2), LABELS[:2], key=jax.random.key(0), directions=3)
    assert (np.asarray(found) < 1e-7).all()


@pytest.mark.parametrize('measure', ['norms', 'statistics'])
def test_it_lowers_for_cuda_within_jit(params, measure):
    x = jnp.asarray(tiny.images(2))

    @jax.jit
    def run(params):
        if measure == 'norms':
            return gradients.per_example_gradients(loss, params, x, LABELS[:2], reduce='norm')
        return gradients.gradient_statistics(loss, params, x, LABELS[:2])

    lowered = run.trace(params).lower(lowering_platforms=('cuda',))
    assert 'stablehlo.convolution' in lowered.as_text()


def test_a_single_example_and_an_unknown_reduction_are_refused(params):
    x = tiny.images()
    with pytest.raises(ValueError, match='1 example has no variance'):
        gradients.gradient_statistics(loss, params, x[:1], LABELS[:1])
    with tiny.unchecked(), pytest.raises(ValueError, match="reduce is 'mean'"):
        gradients.per_example_gradients(loss, params, x, LABELS, reduce='mean')
    with pytest.raises(ValueError, match='4 and 5 rows'):
        gradients.per_example_gradients(loss, params, x, LABELS[:4])


FUNCTIONS = {
    'gradients': gradients.per_example_gradients,
    'norms': lambda *given: gradients.per_example_gradients(*given, reduce='norm'),
    'statistics': gradients.gradient_statistics,
    'classes': gradients.class_gradients,
}


@pytest.mark.parametrize('name', FUNCTIONS)
def test_a_loss_of_another_shape_and_a_network_in_training_mode_are_refused(params, name):
    x, normalized = tiny.images(), tiny.Tiny(norm=True)

    def training(variables, x, y):
        return cross_entropy(normalized.apply(variables, x, train=True, mutable=['batch_stats'])[0], y)

    with pytest.raises(ValueError, match=r'returned \(2, 3\) for 2 examples'):
        FUNCTIONS[name](lambda params, x, y: MODEL.apply(params, x), params, x, LABELS)
    with pytest.raises(ValueError, match='returned tuple for 2 examples'):
        FUNCTIONS[name](lambda params, x, y: (loss(params, x, y), x), params, x, LABELS)
    with pytest.raises(ValueError, match='norm is in training mode'):
        FUNCTIONS[name](training, jax.eval_shape(normalized.init, jax.random.key(0), x), x, LABELS)
