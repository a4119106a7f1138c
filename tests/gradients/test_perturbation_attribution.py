import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.gradients import perturbation_attribution

KEY = jax.random.key(0)


def by_hand(apply, variables, image, target, window, stride, baseline):
    logits = np.asarray(apply(variables, image[None]))[0, target]
    falls, covered = np.zeros(image.shape[:2]), np.zeros(image.shape[:2])
    top = 0
    while True:
        left = 0
        while True:
            hidden = image.copy()
            hidden[top : top + window, left : left + window] = baseline
            fall = logits - np.asarray(apply(variables, hidden[None]))[0, target]
            falls[top : top + window, left : left + window] += fall
            covered[top : top + window, left : left + window] += 1
            if left + window >= image.shape[1]:
                break
            left += stride
        if top + window >= image.shape[0]:
            break
        top += stride
    return falls / covered


@pytest.mark.parametrize(('window', 'stride', 'size'), [(3, 2, (8, 7))])
def test_a_pixel_gets_the_mean_fall_of_the_squares_over_it(window, stride, size):
    model, x = tiny.Tiny(), tiny.images(2)[:, :, : size[1]]
    variables = jax.jit(model.init)(jax.random.key(0), x)
    apply = jax.jit(model.apply)
    found = gradients.occlusion(apply, variables, x, np.array([2, 1]), window=window, stride=stride, baseline=0.5).map
    expected = [by_hand(apply, variables, x[0], 2, window, stride, 0.5),
                by_hand(apply, variables, x[1], 1, window, stride, 0.5)]  # fmt: skip
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(('window', 'stride'), [(3, 2)])
def test_every_pixel_is_covered_also_at_the_border(window, stride):
    ones = np.ones((1, 8, 8, 3), np.float32)
    weights = np.ones((8, 8, 3, 2), np.float32)
    found = gradients.occlusion(tiny.linear, weights, ones, 0, window=window, stride=stride).map
    assert np.asarray(found).min() > 0
    assert np.isfinite(found).all()


@pytest.mark.parametrize(('window', 'stride'), [(2, 3), (9, 1), (2, 0)])
def test_squares_that_leave_pixels_out_are_told(window, stride):
    with pytest.raises(ValueError, match=f'window is {window} and stride {stride}'):
        gradients.occlusion(tiny.linear, tiny.weights(), tiny.images(2), 0, window=window, stride=stride)


def corner(weights, x):
    """Logits that depend on four pixels only."""
    return jnp.stack([x[:, 1:3, 1:3].mean((1, 2, 3)), jnp.zeros(len(x))], 1) * weights


@pytest.mark.slow
def test_rise_marks_the_only_pixels_that_the_network_looks_at():
    x = np.ones((2, 8, 8, 3), np.float32)
    found = np.asarray(gradients.rise(corner, np.float32(5), x, 0, key=KEY, masks=600, cells=4).map)
    inside = np.zeros((8, 8), bool)
    inside[1:3, 1:3] = True
    for image in found:
        assert image[inside].min() > image[4:, 4:].max()
        assert inside.ravel()[image.argmax()]


@pytest.mark.slow
def test_rise_of_a_constant_is_near_it_everywhere_and_every_image_gets_the_same_masks():
    found = np.asarray(gradients.rise(corner, np.float32(0), tiny.images(2), 0, key=KEY, masks=800, cells=4).map)
    np.testing.assert_allclose(found, 0.5, atol=0.06)
    np.testing.assert_array_equal(found[0], found[1])


def test_rise_is_the_mean_over_its_masks():
    masks = perturbation_attribution._masks(KEY, 9, 4, 0.25, (8, 8), jnp.dtype(jnp.float32))
    weights, x = tiny.weights(), tiny.images(2)
    found = gradients.rise(tiny.linear, weights, x, 1, key=KEY, masks=9, cells=4, keep=0.25, baseline=0.5).map
    expected = np.zeros((2, 8, 8))
    for mask in np.asarray(masks):
        shown = mask[..., None] * x + (1 - mask[..., None]) * 0.5
        expected += np.asarray(jax.nn.softmax(tiny.linear(weights, shown)))[:, 1, None, None] * mask
    np.testing.assert_allclose(found, expected / 9 / 0.25, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_masks_are_of_zero_to_one_shown_as_often_as_asked_for_and_shifted():
    masks = np.asarray(perturbation_attribution._masks(KEY, 800, 3, 0.25, (8, 10), jnp.dtype(jnp.float32)))
    assert masks.shape == (800, 8, 10)
    assert masks.min() >= 0
    assert masks.max() <= 1
    np.testing.assert_allclose(masks.mean(0), 0.25, atol=0.07)
