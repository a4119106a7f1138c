"""The numbers of a training by `watch`, against dense matrices and their definitions; how alike representations are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.flatten_util import ravel_pytree

from alljax import gradients

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(9, 5)).astype(np.float32)
Y = np.arange(9) % 3
PARAMS = {
    'hidden': {'kernel': jax.random.normal(KEY, (5, 4))},
    'logits': {'kernel': jax.random.normal(jax.random.key(1), (4, 3))},
}
LATER = jax.tree.map(lambda leaf: 0.9 * leaf + 0.05, PARAMS)


def hidden(params, x):
    return jnp.tanh(x @ params['hidden']['kernel'])


def loss(params, x, y):
    logits = hidden(params, x) @ params['logits']['kernel']
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1)[:, 0]


def gradient(params, rows=slice(None)):
    return jax.grad(lambda params: loss(params, X[rows], Y[rows]).mean())(params)


def cosine(one, other):
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


@pytest.fixture(scope='module')
def looks():
    layers = {'hidden': hidden}
    first = gradients.watch(loss, PARAMS, X, Y, key=KEY, layers=layers, iterations=32)
    return first, gradients.watch(loss, LATER, X, Y, first.memory, key=KEY, layers=layers, iterations=32, batch_size=4)


@pytest.mark.slow
def test_curvature_and_angles_are_those_of_dense_matrices(looks):
    flat, unravel = ravel_pytree(LATER)
    hessian = jax.hessian(lambda flat: loss(unravel(flat), X, Y).mean())(flat)
    numbers = looks[1].numbers
    assert numbers['largest_curvature'] == pytest.approx(float(jnp.linalg.eigvalsh(hessian)[-1]), rel=1e-4)
    now, before = (ravel_pytree(gradient(params))[0] for params in (LATER, PARAMS))
    assert numbers['step_cosine/all'] == pytest.approx(float(cosine(now, before)), abs=1e-5)
    parts = [ravel_pytree(gradient(params)['hidden'])[0] for params in (LATER, PARAMS)]
    assert numbers['step_cosine/hidden'] == pytest.approx(float(cosine(*parts)), abs=1e-5)
    assert numbers['gradient_norm/all'] == pytest.approx(float(jnp.linalg.norm(now)), rel=1e-5)
    assert numbers['loss'] == pytest.approx(float(loss(LATER, X, Y).mean()), rel=1e-5)


def test_classes_pull_apart_by_the_mean_cosine_of_their_gradients(looks):
    means = [ravel_pytree(gradient(LATER, label == Y))[0] for label in range(3)]
    pairs = [float(cosine(means[a], means[b])) for a, b in ((0, 1), (0, 2), (1, 2))]
    assert looks[1].numbers['class_cosine/all'] == pytest.approx(np.mean(pairs), abs=1e-5)


def test_layers_are_compared_with_the_last_look_and_each_part_has_its_cost(looks):
    first, second = (look.numbers for look in looks)
    expected = gradients.linear_cka(hidden(LATER, X), hidden(PARAMS, X))
    assert second['cka/hidden'] == pytest.approx(float(expected), abs=1e-5)
    assert not [name for name in first if name.startswith(('cka/', 'step_cosine/'))]
    costs = {'seconds/gradients', 'seconds/classes', 'seconds/curvature', 'seconds/layers'}
    assert costs == {name for name in second if name.startswith('seconds/')}
    assert all(second[name] > 0 for name in costs)


def test_what_is_not_asked_for_is_left_out():
    def squares(params, x, y):
        return (hidden(params, x)[:, 0] - y) ** 2

    numbers, memory = gradients.watch(squares, PARAMS, X, Y.astype(np.float32), key=KEY, iterations=None)
    assert memory.direction is None
    assert not [name for name in numbers if name.startswith(('class_cosine', 'largest', 'cka'))]


def test_representations_are_alike_up_to_turns_scale_and_shift():
    rng = np.random.default_rng(1)
    one, turn = rng.normal(size=(9, 2, 3)), np.linalg.qr(rng.normal(size=(6, 6)))[0]
    turned = (3 * one.reshape(9, 6) @ turn + 2).astype(np.float32)
    one = one.astype(np.float32)
    assert float(gradients.linear_cka(one, turned)) == pytest.approx(1, abs=1e-5)
    other = rng.normal(size=(9, 4)).astype(np.float32)
    a, b = (part.reshape(9, -1) - part.reshape(9, -1).mean(0) for part in (one, other))
    expected = np.linalg.norm(b.T @ a) ** 2 / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)
    assert float(gradients.linear_cka(one, other)) == pytest.approx(expected, rel=1e-4)


def test_what_cannot_be_compared_is_told(looks):
    memory = looks[0].memory
    with tiny.unchecked():
        for said, call in {
            'memory is dict; expected that of an earlier look': lambda: gradients.watch(
                loss, PARAMS, X, Y, {'a': 1}, key=KEY
            ),
            'memory has nothing of other for these 9 examples': lambda: gradients.watch(
                loss, PARAMS, X, Y, memory, key=KEY, layers={'other': hidden}
            ),
            'memory has nothing of hidden for these 8 examples': lambda: gradients.watch(
                loss, PARAMS, X[:8], Y[:8], memory, key=KEY, layers={'hidden': hidden}
            ),
            'are traced; it measures time: call it outside of jit': lambda: jax.jit(
                lambda params: gradients.watch(loss, params, X, Y, key=KEY)
            )(PARAMS),
            'one has 9 examples, other 8': lambda: gradients.linear_cka(X, X[:8]),
            'two examples or more': lambda: gradients.linear_cka(X[:1], X[:1]),
            'is the same for all examples': lambda: gradients.linear_cka(X, np.ones((9, 2), np.float32)),
        }.items():
            with pytest.raises(ValueError, match=said):
                call()
