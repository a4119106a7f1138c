"""Losses along lines and planes, against parabolas and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from alljax import gradients


def tree(seed, dtype=np.float32):
    """Two kernels, a bias and a number."""
    rng = np.random.default_rng(seed)
    shapes = {'bias': (3,), 'conv': (3, 3, 2, 4), 'dense': (5, 3), 'gain': ()}
    return {name: jnp.asarray(rng.normal(size=shape), dtype) for name, shape in shapes.items()}


def quadratic(params):
    """A parabola along every line: leaf by leaf another curvature."""
    return sum(factor * jnp.sum(leaf**2) for factor, leaf in zip((1, 2, 3, 4), jax.tree.leaves(params), strict=True))


def along(params, way):
    """The coefficients of `quadratic` along a line: of 1, t and t²."""
    pairs = [(params[name], way[name]) for name in sorted(params)]
    found = np.zeros(3)
    for factor, (leaf, step) in zip((1, 2, 3, 4), pairs, strict=True):
        leaf, step = np.asarray(leaf, np.float64), np.asarray(step, np.float64)
        found += factor * np.array([np.sum(leaf**2), 2 * np.sum(leaf * step), np.sum(step**2)])
    return found


def normalized(way, params):
    """Filter by filter, in a loop."""
    found = {name: np.zeros(leaf.shape) for name, leaf in params.items()}
    for name in ('conv', 'dense'):
        for out in range(params[name].shape[-1]):
            one, own = (np.asarray(part[name][..., out], np.float64) for part in (way, params))
            found[name][..., out] = one / np.linalg.norm(one) * np.linalg.norm(own)
    return found


def test_filters_of_a_normalized_direction_are_as_long_as_the_network_s_own():
    params, way = tree(0), tree(1)
    found = gradients.filter_normalized(way, params)
    for name, leaf in found.items():
        np.testing.assert_allclose(leaf, normalized(way, params)[name], rtol=1e-5, atol=1e-6, err_msg=name)
        assert leaf.dtype == params[name].dtype
    assert not found['bias'].any()
    assert not found['gain'].any()
    lengths = np.linalg.norm(np.reshape(found['conv'], (-1, 4)), axis=0)
    np.testing.assert_allclose(lengths, np.linalg.norm(np.reshape(params['conv'], (-1, 4)), axis=0), rtol=1e-5)


def test_a_filter_of_zeros_stays_where_it_is():
    params, way = tree(0), tree(1)
    params['conv'] = params['conv'].at[..., 1].set(0)
    way['dense'] = way['dense'].at[:, 2].set(0)
    found = gradients.filter_normalized(way, params)
    assert not found['conv'][..., 1].any()
    assert not found['dense'][:, 2].any()
    assert found['conv'][..., 0].all()


@pytest.mark.parametrize('normalize', [True, False])
def test_a_quadratic_loss_gives_its_parabola(normalize):
    with jax.enable_x64(True):
        params, way = tree(0, np.float64), tree(1, np.float64)
        offsets, losses = gradients.loss_along_line(quadratic, params, way, 0.8, points=5, normalize=normalize)
    np.testing.assert_allclose(offsets, [-0.8, -0.4, 0, 0.4, 0.8], atol=1e-12)
    found = along(params, normalized(way, params) if normalize else way)
    np.testing.assert_allclose(losses, np.polynomial.Polynomial(found)(np.asarray(offsets)), rtol=1e-6)
    assert float(losses[2]) == pytest.approx(found[0], rel=1e-9)


def test_a_line_between_two_checkpoints_ends_at_the_second():
    first, second = tree(0), tree(1)
    way = jax.tree.map(lambda one, other: other - one, first, second)
    offsets, losses = gradients.loss_along_line(quadratic, first, way, points=3, normalize=False)
    np.testing.assert_array_equal(offsets, [-1, 0, 1])
    assert float(losses[1]) == pytest.approx(float(quadratic(first)), rel=1e-5)
    assert float(losses[2]) == pytest.approx(float(quadratic(second)), rel=1e-5)


def test_a_plane_has_its_first_direction_along_its_first_axis():
    params = tree(0)
    nothing = jax.tree.map(jnp.zeros_like, params)
    ways = {**nothing, 'gain': jnp.ones(())}, {**nothing, 'bias': jnp.ones(3)}

    def loss(params):
        return params['gain'] + 10 * params['bias'][0]

    offsets, losses = gradients.loss_on_plane(loss, params, ways, 0.5, points=3, normalize=False)
    np.testing.assert_array_equal(offsets, [-0.5, 0, 0.5])
    expected = float(loss(params)) + np.asarray(offsets)[:, None] + 10 * np.asarray(offsets)
    np.testing.assert_allclose(losses, expected, rtol=1e-5, atol=1e-5)


def test_the_middle_row_and_column_of_a_plane_are_lines():
    params, ways = tree(0), (tree(1), tree(2))
    _, losses = gradients.loss_on_plane(quadratic, params, ways, 0.5, points=3)
    for way, row in zip(ways, (losses[:, 1], losses[1]), strict=True):
        found = along(params, normalized(way, params))
        np.testing.assert_allclose(row, np.polynomial.Polynomial(found)(np.array([-0.5, 0, 0.5])), rtol=1e-5)
    assert not np.allclose(losses, losses.T, rtol=1e-3)


def test_the_loss_over_a_data_set_is_its_mean_whatever_the_batch_size():
    x, y = tiny.images(), tiny.TARGET
    weights = jnp.asarray(tiny.weights())

    def loss(weights, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(tiny.linear(weights, x), y)

    expected = float(np.mean(loss(weights, jnp.asarray(x), y)))
    for size in (None, 2, 5, 8):
        mean = gradients.mean_loss(loss, x, y, batch_size=size)
        assert float(mean(weights)) == pytest.approx(expected, rel=1e-6), size
    _, losses = gradients.loss_along_line(
        gradients.mean_loss(loss, x, y, batch_size=2), weights, jnp.asarray(tiny.weights(2)), 0.1, points=3
    )
    assert float(losses[1]) == pytest.approx(expected, rel=1e-6)
    assert len(set(losses.tolist())) == 3


def test_random_directions_differ_from_leaf_to_leaf_and_key_to_key():
    params = {'a': jnp.zeros((20, 20)), 'b': jnp.zeros((20, 20))}
    found, again, other = (gradients.random_direction(params, jax.random.key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(found['a'], again['a'])
    for one, another in ((found['a'], found['b']), (found['a'], other['a'])):
        assert abs(np.corrcoef(np.ravel(one), np.ravel(another))[0, 1]) < 0.2
    assert abs(float(jnp.mean(found['a']))) < 0.2
    assert float(jnp.std(found['a'])) == pytest.approx(1, abs=0.2)


def test_no_data_and_data_of_two_lengths_are_refused():
    x = tiny.images()
    for labels, message in ((tiny.TARGET[:3], 'the arrays have 3 and 5 rows'), (tiny.TARGET[:0], '0 and 5')):
        with pytest.raises(ValueError, match=message):
            gradients.mean_loss(lambda params, x, y: y, x, labels)({})
    with pytest.raises(ValueError, match='no rows'):
        gradients.mean_loss(lambda params, x, y: y, x[:0], tiny.TARGET[:0])({})
