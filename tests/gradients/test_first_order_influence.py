"""Influence functions, LiSSA and TRAK, against dense matrices in float64 and against heads fitted again."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from jax.flatten_util import ravel_pytree

from alljax import gradients
from alljax.gradients import random_projection, trak_scores
from alljax.gradients.factored_gradients import Pair

KEY = jax.random.key(0)
RIDGE, COUNT = 0.05, 12
LABELS, ASKED = np.arange(COUNT) % 3, np.array([2, 0])


class Head(nn.Module):
    """A dense layer, so that its gradients have factors."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3, use_bias=False, name='head')(x)


def apply(params, x):
    return Head().apply({'params': params}, x)


def loss(params, x, y):
    return -jnp.take_along_axis(jax.nn.log_softmax(apply(params, x)), y[:, None], 1)[:, 0]


@pytest.fixture(scope='module', autouse=True)
def _in_float64():
    with jax.enable_x64(True):
        yield


@pytest.fixture(scope='module')
def head():
    """Features of the training and of the test, and the parameters of the best head."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(COUNT + 2, 5)) + np.eye(3, 5)[np.append(LABELS, ASKED)]
    train, test = (x[:COUNT], LABELS), (x[COUNT:], ASKED)
    weights = gradients.fit_linear_heads(*train, ridge=RIDGE).weights[0]
    return train, test, {'head': {'kernel': weights}}


@pytest.fixture(scope='module')
def dense(head):
    """The curvature of the objective as a matrix, and a solver with it."""
    train, _, params = head
    flat, unravel = ravel_pytree(params)
    matrix = jax.hessian(lambda flat: loss(unravel(flat), *train).mean())(flat) + RIDGE * jnp.eye(15)
    return matrix, lambda tree: unravel(jnp.linalg.solve(matrix, ravel_pytree(tree)[0]))


def jacobian(function, params, x, y):
    return np.asarray(jax.vmap(lambda x, y: ravel_pytree(jax.grad(
        lambda params: function(params, x[None], y[None])[0])(params))[0])(x, y))  # fmt: skip


@pytest.mark.parametrize('size', [None, 5])
def test_influence_is_the_product_through_the_inverse_curvature(head, dense, size):
    train, test, params = head
    found = gradients.influence_functions(loss, params, train, test, solve=dense[1], batch_size=size)
    one, other = (jacobian(loss, params, *examples) for examples in (test, train))
    expected = one @ np.linalg.solve(dense[0], other.T) / COUNT
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
    own = gradients.self_influence(loss, params, train, solve=dense[1])
    np.testing.assert_allclose(own, np.diag(other @ np.linalg.solve(dense[0], other.T)) / COUNT, rtol=1e-9)


def test_influence_is_the_slope_of_heads_fitted_with_less_of_an_example(head, dense):
    train, test, params = head
    found = gradients.influence_functions(loss, params, train, test, solve=dense[1])
    less = 1 - 1e-5 * np.eye(COUNT)
    heads = gradients.fit_linear_heads(*train, ridge=RIDGE, example_weights=less).weights
    losses = jnp.stack([loss({'head': {'kernel': one}}, *test) for one in heads], 1)
    np.testing.assert_allclose((losses - loss(params, *test)[:, None]) / 1e-5, found, atol=1e-4 * np.abs(found).max())
    truth = gradients.leave_one_out(train, test, ridge=RIDGE)
    assert np.corrcoef(found.ravel(), truth.ravel())[0, 1] > 0.9


def test_parameters_that_are_left_out_do_not_count(head):
    train, test, params = head
    beside = params | {'scale': jnp.ones(5)}

    def scaled(params, x, y):
        return loss({'head': params['head']}, x * params['scale'], y)

    def solve(tree):
        assert not np.any(tree['scale'])
        return jax.tree.map(lambda leaf: leaf + 1, tree)

    call = partial(gradients.influence_functions, scaled, beside, train, test, solve=solve, where='head/.*')
    expected = gradients.influence_functions(
        loss, params, train, test, solve=lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree)
    )
    np.testing.assert_allclose(call(), expected, rtol=1e-12)


def test_solutions_of_another_form_or_none_are_told(head):
    train, test, params = head
    ask = partial(gradients.influence_functions, loss, params, train, test)
    with pytest.raises(ValueError, match='the solution of solve and params differ in body/kernel, head/kernel'):
        ask(solve=lambda tree: {'body': tree['head']})
    with pytest.raises(ValueError, match='solve gave NaN or infinity for example 0'):
        ask(solve=lambda tree: jax.tree.map(lambda leaf: leaf / 0, tree))


def test_lissa_solves_as_the_dense_matrix_does(head):
    train, test, params = head
    whole = gradients.curvature_operator(apply, params, *train, kind='ggn')
    gradient = jax.grad(lambda params: loss(params, *test).sum())(params)
    solved = gradients.lissa(whole, key=KEY, damping=0.2, steps=80)(gradient)
    matrix = np.stack([np.asarray(whole(row)) for row in jnp.eye(15)]) + 0.2 * np.eye(15)
    expected = np.linalg.solve(matrix, ravel_pytree(gradient)[0])
    np.testing.assert_allclose(ravel_pytree(solved)[0], expected, rtol=1e-7, atol=1e-9)
    rough = jax.jit(gradients.lissa(whole, key=KEY, damping=0.2))(gradient)  # within 1 % by default
    np.testing.assert_allclose(ravel_pytree(rough)[0], expected, atol=0.02 * np.abs(expected).max())
    with pytest.raises(ValueError, match=r'lissa: op has an eigenvalue above the scale 0\.1'):
        gradients.lissa(whole, key=KEY, damping=0.2, scale=0.1, steps=20)(gradient)
    with pytest.raises(ValueError, match='lissa: damping is 0'):
        gradients.lissa(whole, key=KEY, damping=0.0)


@pytest.mark.slow
def test_lissa_of_batches_is_right_on_average(head):
    train, test, params = head
    ops = [gradients.curvature_operator(apply, params, *(part[i::3] for part in train), kind='ggn') for i in range(3)]
    gradient = jax.grad(lambda params: loss(params, *test).sum())(params)
    found = ravel_pytree(gradients.lissa(ops, key=KEY, damping=0.2, steps=60, repeats=8)(gradient))[0]
    matrix = np.stack([np.mean([op(row) for op in ops], 0) for row in jnp.eye(15)]) + 0.2 * np.eye(15)
    expected = np.linalg.solve(matrix, ravel_pytree(gradient)[0])
    assert np.linalg.norm(found - expected) < 0.25 * np.linalg.norm(expected)


def test_dense_projections_are_products_with_signs_whatever_the_blocks(monkeypatch):
    rng = np.random.default_rng(0)
    u, b = jnp.asarray(rng.normal(size=(2, 1, 3, 7))), jnp.asarray(rng.normal(size=(2, 1, 3, 2)))
    monkeypatch.setattr(random_projection, 'BLOCK', 3 * 4 * 2)  # three of seven inputs at once
    unit = [Pair(jnp.eye(7)[:, None, None], jnp.tile(row, (7, 1, 1, 1))) for row in jnp.eye(2)]
    signs = np.stack([random_projection.dense(one, KEY, 4) for one in unit], 1)  # [inputs, outputs, size]
    assert set(signs.ravel()) == {-1, 1}
    gradient = np.einsum('ngpi,ngpo->nio', u, b)
    np.testing.assert_allclose(
        random_projection.dense(Pair(u, b), KEY, 4), np.einsum('nio,iok->nk', gradient, signs), rtol=1e-12
    )


@pytest.mark.parametrize('kind', [pytest.param('dense', marks=pytest.mark.slow), 'factored'])
def test_projections_keep_products_on_average(kind):
    rng = np.random.default_rng(1)
    pair = Pair(jnp.asarray(rng.normal(size=(3, 2, 4, 5))), jnp.asarray(rng.normal(size=(3, 2, 4, 3))))
    gradient = np.einsum('ngpi,ngpo->ngio', *pair).reshape(3, -1)
    found = getattr(random_projection, kind)(pair, KEY, 40000) / 200
    expected = gradient @ gradient.T
    np.testing.assert_allclose(found @ found.T, expected, atol=0.05 * np.abs(expected).max())


def margin(params, x, y):
    logits = apply(params, x)[0]
    return (logits[y[0]] - jax.nn.logsumexp(jnp.where(jnp.arange(3) == y[0], -jnp.inf, logits)))[None]


def test_trak_is_the_regression_of_the_paper(head):
    train, test, params = head
    other = jax.tree.map(lambda leaf: leaf * 0.5, params)
    size, ridge = 6, 0.1
    found = gradients.trak(
        apply, [params, other], train, test, key=KEY, size=size, ridge=ridge, batch_size=5, projection='dense'
    )
    total, weight = 0, 0
    for tree, key in zip((params, other), jax.random.split(KEY, 2), strict=True):
        (own,) = jax.random.split(key, 1)  # of the only parameter
        unit = jnp.eye(15).reshape(15, 15)
        signs = np.asarray(random_projection.dense(unit, own, size)) / np.sqrt(size)
        phi, asked = (jacobian(margin, tree, *examples) @ signs for examples in (train, test))
        inner = phi.T @ phi
        total = total + asked @ np.linalg.solve(inner + ridge * np.trace(inner) / size * np.eye(size), phi.T)
        weight = weight + 1 - np.exp(-loss(tree, *train))
    np.testing.assert_allclose(found, total / 2 * weight / 2, rtol=1e-7, atol=1e-10)


@pytest.mark.slow
def test_trak_foretells_what_heads_of_subsets_say(head):
    train, _, params = head
    scores = {
        projection: gradients.trak(apply, [params], train, train, key=KEY, size=64, projection=projection)
        for projection in ('dense', 'factored')
    }
    subsets = np.random.default_rng(0).random((40, COUNT)) < 0.5
    outputs = gradients.subset_margins(train, train, subsets, ridge=RIDGE)
    for scored in scores.values():
        assert gradients.linear_datamodeling_score(scored, subsets, outputs).mean() > 0.5
    with pytest.raises(ValueError, match=r'trak: ridge is 0\.0, and the 12 training examples do not span 64 numbers'):
        gradients.trak(apply, [params], train, train, key=KEY, size=64, ridge=0.0, where='head/.*')


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
@pytest.mark.parametrize('shape', [(12, 64), (64, 12)])
def test_examples_that_do_not_span_the_numbers_have_no_scores(shape, dtype):
    for seed in range(10):
        rng = np.random.default_rng(seed)
        test, whole = rng.normal(size=(3, shape[1])).astype(dtype), rng.normal(size=shape).astype(dtype)
        flat = (rng.normal(size=(shape[0], 9)) @ rng.normal(size=(9, shape[1]))).astype(dtype)  # of rank 9
        assert np.isnan(trak_scores._regressed(test, flat, 0.0)).all()
        assert np.isfinite(trak_scores._regressed(test, flat, 0.01)).all()
        found = trak_scores._regressed(test, whole, 0.0)
        np.testing.assert_allclose(
            found, test @ np.linalg.pinv(whole.astype(float)), atol=2e-3 if dtype == np.float32 else 1e-9
        )


@pytest.mark.slow
def test_trak_of_a_network_of_images_takes_batches_and_both_projections(variables):
    model, x, y = tiny.Tiny(), tiny.images(5), tiny.TARGET

    def network(params, x):
        return model.apply({'params': params}, x)

    params, calls = variables['params'], []
    for projection in ('dense', 'factored'):
        call = partial(gradients.trak, network, [params], (x, y), (x[:2], y[:2]), key=KEY, size=4096)
        found = call(projection=projection, batch_size=2)
        np.testing.assert_allclose(found, call(projection=projection), rtol=1e-4, atol=1e-6)
        calls.append(found)
    np.testing.assert_allclose(calls[0], calls[1], atol=0.2 * np.abs(calls[0]).max())


def test_the_cosine_of_gradients_is_that_of_vectors(head):
    train, test, params = head
    one, other = (jacobian(loss, params, *examples) for examples in (test, train))
    expected = one @ other.T / np.linalg.norm(one, axis=1)[:, None] / np.linalg.norm(other, axis=1)
    found = gradients.gradient_cosine(loss, params, train, test, batch_size=5)
    np.testing.assert_allclose(found, expected, rtol=1e-9)
