"""Inner products of the gradients of examples, against loops of `jax.grad` and against Jacobian matrices."""

import flax.linen as nn
import jax
import numpy as np
import optax
import pytest
import tiny

from alljax import gradients
from alljax.gradients.named_parameters import named

MODEL = tiny.Tiny(act=nn.tanh)
TRAIN, TEST = np.array([0, 1, 2, 1, 0]), np.array([2, 0, 1])
RATES = (0.1, 0.25)
ALL = ('body/bias', 'body/kernel', 'head/bias', 'head/kernel', 'stem/bias', 'stem/kernel')
WHERE = {None: ALL, '(stem|body)/.*': (*ALL[:2], *ALL[4:]), '.*/bias': ALL[::2], 'head/kernel': ALL[3:4]}


def apply(params, x):
    return MODEL.apply({'params': params}, x)


def loss(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(apply(params, x), y)


@pytest.fixture(scope='module')
def checkpoints():
    """Two trees of parameters in float64."""
    first = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tiny.variables(MODEL)['params'])
    rng = np.random.default_rng(0)
    return [first, jax.tree.map(lambda leaf: leaf + 0.2 * rng.normal(size=leaf.shape), first)]


@pytest.fixture(scope='module')
def cells():
    """Images of the training and of the test."""
    return tiny.images(5).astype(np.float64), tiny.images(3, seed=1).astype(np.float64)


@pytest.fixture(scope='module')
def slopes(checkpoints, cells):
    """For each checkpoint the gradients of both sets' images: name → [N, size], from a loop."""

    @jax.jit
    def slope(params, x, y):
        return jax.grad(lambda params: loss(params, x[None], y[None])[0])(params)

    def of_all(params, x, y):
        found = [named(slope(params, *one)) for one in zip(x, y, strict=True)]
        return {name: np.stack([np.asarray(one[name]).ravel() for one in found]) for name in found[0]}

    with jax.enable_x64(True):
        return [
            tuple(of_all(params, *set_) for set_ in zip(cells, (TRAIN, TEST), strict=True)) for params in checkpoints
        ]


@pytest.mark.parametrize(
    'where',
    [where if where is None else pytest.param(where, marks=pytest.mark.slow) for where in WHERE],
)
def test_influence_is_the_sum_over_checkpoints_of_rates_times_products(checkpoints, cells, slopes, where):
    train, test = cells
    with jax.enable_x64(True):
        found = gradients.tracin(loss, checkpoints, (train, TRAIN), (test, TEST), RATES, where=where, batch_size=3)
    assert found.shape == (3, 5)
    expected = sum(
        rate
        * np.concatenate([of_test[name] for name in WHERE[where]], 1)
        @ np.concatenate([of_train[name] for name in WHERE[where]], 1).T
        for rate, (of_train, of_test) in zip(RATES, slopes, strict=True)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.slow
def test_influence_does_not_change_with_the_batch_size(checkpoints, cells):
    train, test = cells
    with jax.enable_x64(True):
        given = loss, checkpoints[:1], (train, TRAIN), (test, TEST), [1.0]
        whole, twos = (gradients.tracin(*given, batch_size=size) for size in (None, 2))
    np.testing.assert_allclose(twos, whole, rtol=1e-9, atol=1e-9 * np.abs(whole).max())


@pytest.mark.slow
def test_a_step_on_an_example_lowers_losses_as_its_influence_says(checkpoints, cells):
    """To first order in the rate of the step."""
    (train, test), rate = cells, 1e-6
    with jax.enable_x64(True):
        found = gradients.tracin(loss, checkpoints[:1], (train[:3], TRAIN[:3]), (test, TEST), [rate], batch_size=3)
        gradient = jax.grad(lambda params: loss(params, train[:1], TRAIN[:1]).sum())(checkpoints[0])
        moved = jax.tree.map(lambda leaf, way: leaf - rate * way, checkpoints[0], gradient)
        lowered = np.asarray(loss(checkpoints[0], test, TEST) - loss(moved, test, TEST))
    np.testing.assert_allclose(found[:, 0], lowered, rtol=0, atol=1e-4 * np.abs(lowered).max())


@pytest.mark.parametrize(('where', 'size'), [('body/.*', 3), pytest.param(None, 4, marks=pytest.mark.slow)])
def test_the_tangent_kernel_is_the_product_of_jacobian_matrices(checkpoints, cells, where, size):
    params, (first, second) = checkpoints[0], cells
    with jax.enable_x64(True):
        found = gradients.neural_tangent_kernel(apply, params, first[:2], second, where=where, batch_size=size)
        x, chosen = np.concatenate([first[:2], second]), params if where is None else {'body': params['body']}
        jacobians = named(jax.jit(jax.jacrev(lambda some: apply(params | some, x)))(chosen))
    flat = np.concatenate([leaf.reshape(5, 3, -1) for leaf in jacobians.values()], 2)
    expected = np.einsum('nip,mjp->nmij', flat[:2], flat[2:])
    assert found.shape == (2, 3, 3, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.slow
def test_the_tangent_kernel_of_one_set_is_symmetric(checkpoints, cells):
    with jax.enable_x64(True):
        found = np.asarray(gradients.neural_tangent_kernel(apply, checkpoints[0], cells[1], cells[1]))
    np.testing.assert_allclose(found, found.transpose(1, 0, 3, 2), rtol=1e-9, atol=1e-9)
    assert np.linalg.eigvalsh(found.swapaxes(1, 2).reshape(9, 9)).min() > 0


def test_patterns_of_nothing_and_other_numbers_of_rates_are_refused(checkpoints, cells):
    train, test = (cells[0], TRAIN), (cells[1], TEST)
    with pytest.raises(ValueError, match='2 checkpoints and 1 rates'):
        gradients.tracin(loss, checkpoints, train, test, [0.1])
    with pytest.raises(ValueError, match='0 checkpoints and 0 rates'):
        gradients.tracin(loss, [], train, test, [])
    with pytest.raises(ValueError, match="where is 'tail': it matches no parameter"):
        gradients.tracin(loss, checkpoints[:1], train, test, [0.1], where='tail')
    with pytest.raises(ValueError, match='it matches no parameter'):
        gradients.neural_tangent_kernel(apply, checkpoints[0], cells[0], cells[1], where='head')
