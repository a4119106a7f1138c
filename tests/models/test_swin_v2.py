import jax
import jax.numpy as jnp
import numpy as np

from alljax.models.swin_v2 import APART, Attention, distances, pairs, separated


def test_distances_are_signed_logarithms():
    """Equation 4 of the paper, scaled so that the largest of a window is 8 before the logarithm to the base 8."""
    found = distances(3)
    assert found.shape == (25, 2)
    step = np.log(5) / np.log(8)  # of 4, half of 8
    np.testing.assert_allclose(found[0], -np.log([9, 9]) / np.log(8))
    np.testing.assert_allclose(found[7], [-step, 0], atol=1e-12)
    # from the position in the middle to that above it, in both orders
    assert found[pairs(3)[1, 4]].tolist() == found[7].tolist()
    np.testing.assert_allclose(found[pairs(3)[4, 1]], [step, 0], atol=1e-12)


def test_moved_windows_are_parted_where_the_map_ended():
    found = separated(rows=2, columns=2, window=4, shift=2)
    image = np.arange(64).reshape(8, 8)  # each position by its place before the windows moved
    moved = np.roll(image, (-2, -2), (0, 1)).reshape(2, 4, 2, 4).swapaxes(1, 2).reshape(4, 16)
    for window, places in zip(found, moved, strict=True):
        row, column = np.divmod(places, 8)
        near = (abs(row[:, None] - row) < 4) & (abs(column[:, None] - column) < 4)
        np.testing.assert_array_equal(window, np.where(near, 0, APART))


def test_attention_is_by_cosine_with_a_bias_of_distance():
    """The formula of section 3.2 in NumPy, for one head in one window of four positions."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 3)).astype(np.float32)
    shapes = {'in': (3, 9), 'distance_hidden': (2, 512), 'distance_bias': (512, 1), 'out': (3, 3)}
    params = {name: {'kernel': rng.normal(size=shape).astype(np.float32)} for name, shape in shapes.items()}
    params['distance_bias']['kernel'] /= 16
    params['distance_hidden']['bias'], params['out']['bias'] = np.ones(512, np.float32), np.ones(3, np.float32)
    params['query_bias'], params['value_bias'] = rng.normal(size=(2, 3)).astype(np.float32)
    params['logit_scale'] = np.full((1, 1, 1), 9, np.float32)  # above the largest, 100
    query, key, value = np.split(x @ params['in']['kernel'], 3, 1)
    query, value = query + params['query_bias'], value + params['value_bias']
    length = np.linalg.norm(query, axis=1)[:, None] * np.linalg.norm(key, axis=1)
    hidden = np.maximum(distances(2) @ params['distance_hidden']['kernel'] + 1, 0)
    bias = 16 / (1 + np.exp(-(hidden @ params['distance_bias']['kernel'])[pairs(2), 0]))
    weights = np.exp(100 * query @ key.T / length + bias)
    expected = weights / weights.sum(1, keepdims=True) @ value @ params['out']['kernel'] + 1
    attention = Attention(1, 2, lambda x: jnp.maximum(x, 0))
    found = jax.jit(lambda x: attention.apply({'params': params}, x, None)[0, 0])(jnp.asarray(x)[None, None])
    np.testing.assert_allclose(found, expected, atol=1e-3, rtol=1e-3)
