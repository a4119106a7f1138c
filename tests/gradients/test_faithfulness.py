from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.gradients import faithfulness

KEY = jax.random.key(0)
MODEL = tiny.Tiny()


@pytest.fixture(scope='module')
def variables():
    return tiny.variables(MODEL)


def plain(apply, params, image, target, marks, steps, baseline, inserts):
    order = np.argsort(-marks.ravel(), kind='stable')
    curve = []
    for step in range(steps + 1):
        shown = (np.full_like(image, baseline) if inserts else image).reshape(-1, 3).copy()
        chosen = order[: round(step * marks.size / steps)]
        shown[chosen] = image.reshape(-1, 3)[chosen] if inserts else baseline
        curve.append(jax.nn.softmax(apply(params, shown.reshape(1, *image.shape)))[0, target])
    return np.array(curve)


@pytest.mark.parametrize('inserts', [False, True], ids=['deletion', 'insertion'])
def test_the_curve_is_that_of_a_plain_loop(variables, inserts):
    function, x, steps = (gradients.deletion, gradients.insertion)[inserts], tiny.images(2), 5
    marks = tiny.images(2, seed=4)
    area, curve = function(MODEL.apply, variables, x, np.array([2, 0]), marks, steps=steps, baseline=0.5)
    expected = np.stack([
        plain(MODEL.apply, variables, image, target, mark.sum(-1), steps, 0.5, inserts)
        for image, target, mark in zip(x, [2, 0], marks, strict=True)
    ])  # fmt: skip
    np.testing.assert_allclose(curve, expected, atol=1e-5)
    np.testing.assert_allclose(area, ((expected[:, 1:] + expected[:, :-1]) / 2).mean(1), atol=1e-5)


@pytest.mark.slow
def test_both_curves_lead_from_one_end_to_the_other(variables):
    x, marks = tiny.images(2), tiny.images(2, seed=4)[..., 0]
    whole, nothing = (
        np.asarray(jax.nn.softmax(MODEL.apply(variables, images)))[:, 1] for images in (x, np.zeros_like(x))
    )
    _, gone = gradients.deletion(MODEL.apply, variables, x, 1, marks, steps=3)
    _, come = gradients.insertion(MODEL.apply, variables, x, 1, marks, steps=3)
    np.testing.assert_allclose(gone[:, [0, -1]], np.stack([whole, nothing], 1), atol=1e-6)
    np.testing.assert_allclose(come[:, [0, -1]], np.stack([nothing, whole], 1), atol=1e-6)


def test_pixels_marked_alike_go_from_the_first_to_the_last():
    place = faithfulness._places(np.float32([[[1, 3], [1, 3]]]))
    np.testing.assert_array_equal(place, [[[2, 0], [3, 1]]])


@pytest.mark.slow
def test_the_true_order_is_more_faithful_than_its_reverse():
    x = np.ones((1, 8, 8, 3), np.float32)
    weights = np.abs(tiny.weights()) * np.float32([0.05, 0, 0])
    marks = gradients.saliency(tiny.linear, weights, x, 0).map
    options = {'steps': 8}
    for function, sign in ((gradients.deletion, -1), (gradients.insertion, 1)):
        right, _ = function(tiny.linear, weights, x, 0, marks, **options)
        wrong, _ = function(tiny.linear, weights, x, 0, -marks, **options)
        assert sign * (right - wrong) > 0.05


@pytest.mark.parametrize('shape', [(2, 4, 4), (1, 8, 8)], ids=['small map', 'one image'])
def test_an_attribution_of_another_shape_is_told(shape):
    with pytest.raises(ValueError, match='attribution is'):
        gradients.deletion(tiny.linear, tiny.weights(), tiny.images(2), 0, np.zeros(shape, np.float32))


@pytest.mark.slow
def test_the_infidelity_of_a_linear_function_s_gradient_is_zero_and_that_of_another_is_not():
    weights, x = tiny.weights(), tiny.images(2)
    gradient = gradients.saliency(tiny.linear, weights, x, 1).map
    options = {'key': KEY, 'samples': 4, 'sigma': 0.5}
    np.testing.assert_allclose(gradients.infidelity(tiny.linear, weights, x, 1, gradient, **options), 0, atol=1e-6)
    assert np.min(gradients.infidelity(tiny.linear, weights, x, 1, 2 * gradient, **options)) > 1


@pytest.mark.slow
def test_infidelity_of_no_attribution_is_the_mean_square_of_the_falls():
    """Of a linear function under normal noise: the squared norm of its weights times the noise's variance."""
    weights, x = tiny.weights(), tiny.images(3)
    found = gradients.infidelity(tiny.linear, weights, x, 1, np.zeros_like(x), key=KEY, samples=100, sigma=0.5)
    np.testing.assert_allclose(np.mean(found), 0.25 * (weights[..., 1] ** 2).sum(), rtol=0.3)


def test_infidelity_asks_for_a_gradient():
    with pytest.raises(ValueError, match='expected the same'):
        gradients.infidelity(tiny.linear, tiny.weights(), tiny.images(2), 0, np.zeros((2, 8, 8), np.float32), key=KEY)


@pytest.mark.slow
def test_the_sensitivity_of_a_linear_function_s_saliency_is_zero():
    found = gradients.max_sensitivity(
        gradients.saliency, tiny.linear, tiny.weights(), tiny.images(), tiny.TARGET, key=KEY, batch_size=2
    )
    np.testing.assert_array_equal(found, np.zeros(5))


@pytest.mark.slow
def test_the_sensitivity_of_a_quadratic_function_s_saliency_is_the_largest_relative_change_of_the_image():
    def quadratic(params, x):
        return (x**2).sum((1, 2, 3))[:, None] / 2

    x = tiny.images()
    for method in (gradients.saliency, lambda *arguments: gradients.saliency(*arguments)._replace(gap=np.zeros(5))):
        found = np.asarray(gradients.max_sensitivity(method, quadratic, None, x, 0, key=KEY, radius=0.1, samples=20))
        typical = 0.1 / np.sqrt(3) * np.sqrt(192) / np.linalg.norm(x.reshape(5, -1), axis=1)
        assert (found > typical).all()  # the largest of twenty
        assert (found < 1.3 * typical).all()


def by_values(apply, params, x, target):
    return gradients.saliency(apply, params, np.asarray(x), target)


@pytest.mark.parametrize(
    ('method', 'options'),
    [
        (gradients.integrated_gradients, {'steps': 2, 'baseline': tiny.images(seed=4)}),  # one for each input
        (partial(gradients.gradient_shap, key=KEY, samples=2), {}),  # which draws the same for each sample
        (partial(gradients.saliency, batch_size=10), {}),  # two samples at once
        (by_values, {}),  # which cannot be traced
    ],
    ids=['rows', 'draws', 'bound', 'values'],
)
def test_samples_that_are_taken_at_once_are_those_of_a_loop(method, options):
    def network(weights, x):
        return tiny.linear(weights, x**2)

    weights, x = tiny.weights(), tiny.images()
    found = gradients.max_sensitivity(method, network, weights, x, 1, key=KEY, radius=0.1, samples=3, **options)

    def flat(x):
        return np.asarray(method(network, weights, x, 1, **options).map).reshape(5, -1)

    noise = [jax.random.uniform(jax.random.fold_in(KEY, n), x.shape, minval=-0.1, maxval=0.1) for n in range(3)]
    changes = [np.linalg.norm(flat(x + one) - flat(x), axis=1) for one in noise]
    np.testing.assert_allclose(found, np.max(changes, 0) / np.linalg.norm(flat(x), axis=1), rtol=1e-4)


@pytest.mark.parametrize(('size', 'calls'), [(None, [None]), (10, [5, 5]), (5, [5, 5, 5]), (2, [2, 2, 2])])
def test_the_batch_size_of_a_method_counts_the_inputs_of_all_samples(size, calls):
    asked = []

    def method(apply, params, x, target, batch_size=None):
        asked.append(batch_size)
        return gradients.saliency(apply, params, x, target, batch_size=batch_size)

    options = {} if size is None else {'batch_size': size}
    gradients.max_sensitivity(method, tiny.linear, tiny.weights(), tiny.images(), 1, key=KEY, samples=3, **options)
    assert asked == [size, *calls]  # the first is of the inputs without noise


def test_a_map_that_noise_makes_not_finite_is_told():
    def method(apply, params, x, target):
        return gradients.Attribution(jnp.where(x == still, x, jnp.nan))

    still = tiny.images()
    with pytest.raises(ValueError, match="max_sensitivity: the method's map holds NaN"):
        gradients.max_sensitivity(method, tiny.linear, tiny.weights(), still, 1, key=KEY, samples=2)
