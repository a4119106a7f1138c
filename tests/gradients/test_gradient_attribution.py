import re
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.gradients import Attribution

KEY = jax.random.key(0)
MODEL = tiny.Tiny()


def of_target(weights):
    return np.moveaxis(weights[..., tiny.TARGET], -1, 0)


def test_the_saliency_of_a_linear_function_is_its_weights():
    weights, x = tiny.weights(), tiny.images()
    found = gradients.saliency(tiny.linear, weights, x, tiny.TARGET).map
    np.testing.assert_allclose(found, of_target(weights), rtol=1e-5)
    found = gradients.saliency(tiny.linear, weights, x, tiny.TARGET, times_input=True).map
    np.testing.assert_allclose(found, of_target(weights) * x, rtol=1e-5)


@pytest.mark.parametrize(
    'baseline', [0.0, 0.5, np.float32([1, 2, 3]), tiny.images(seed=8)], ids=['zero', 'number', 'color', 'images']
)
def test_integrated_gradients_of_a_linear_function_are_exact(baseline):
    weights, x = tiny.weights(), tiny.images()
    options = {'baseline': baseline, 'steps': 1, 'batch_size': 2}
    found, gap = gradients.integrated_gradients(tiny.linear, weights, x, tiny.TARGET, **options)
    np.testing.assert_allclose(found, of_target(weights) * (x - baseline), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(gap, 0, atol=1e-4)


@pytest.mark.parametrize('rule', ['gausslegendre', 'midpoint'])
def test_integrated_gradients_are_the_weighted_sum_along_the_path(rule):
    def cubic(weights, x):
        return tiny.linear(weights, x**3)

    weights, x, steps = tiny.weights(), tiny.images(), 3
    nodes, parts = np.polynomial.legendre.leggauss(steps)
    nodes, parts = (
        ((nodes + 1) / 2, parts / 2) if rule == 'gausslegendre' else (np.array([1, 3, 5]) / 6, np.ones(3) / 3)
    )
    expected = of_target(weights) * x * sum(part * 3 * (node * x) ** 2 for node, part in zip(nodes, parts, strict=True))
    found, _ = gradients.integrated_gradients(cubic, weights, x, tiny.TARGET, steps=steps, rule=rule)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_the_gap_is_the_attribution_s_sum_less_the_difference_of_logits(variables):
    x, base = tiny.images(), np.float32(0.5)
    found, gap = gradients.integrated_gradients(MODEL.apply, variables, x, tiny.TARGET, baseline=base, steps=2)
    logits = [MODEL.apply(variables, image)[np.arange(5), tiny.TARGET] for image in (x, np.full_like(x, base))]
    np.testing.assert_allclose(gap, found.sum((1, 2, 3)) - (logits[0] - logits[1]), atol=1e-5)
    assert np.abs(gap).max() > 1e-3  # two steps are too few


@pytest.mark.slow
def test_many_steps_close_the_gap(variables):
    few, many = (
        np.abs(gradients.integrated_gradients(MODEL, variables, tiny.images(), tiny.TARGET, steps=steps).gap).max()
        for steps in (2, 256)
    )
    assert many < 1e-2
    assert many < few / 10


@pytest.mark.parametrize('options', [{'rule': 'simpson'}, {'steps': 0}], ids=['rule', 'steps'])
def test_a_path_that_there_is_not_is_told(options):
    with tiny.unchecked(), pytest.raises(ValueError, match=f'{next(iter(options))} is'):
        gradients.integrated_gradients(tiny.linear, tiny.weights(), tiny.images(), 0, **options)


@pytest.mark.parametrize('reduce', ['mean', 'square', 'variance'])
@pytest.mark.parametrize('options', [{'batch_size': 4}], ids=['in parts'])
def test_smooth_reduces_its_own_noisy_copies(reduce, options):
    seen = []

    def method(network, params, x, target, **options):
        np.testing.assert_array_equal(target, np.tile([2, 0], len(x) // 2))
        seen.append(np.asarray(x).reshape(-1, 2, *x.shape[1:]))
        return Attribution(x)

    x = tiny.images(2)
    smoothed = gradients.smoothgrad(method, key=KEY, samples=5, reduce=reduce)
    found = smoothed(tiny.linear, tiny.weights(), x, np.array([2, 0]), **options)
    copies = np.concatenate(seen)[:5]
    expected = {'mean': copies.mean(0), 'square': (copies**2).mean(0), 'variance': copies.var(0)}[reduce]
    np.testing.assert_allclose(found.map, expected, rtol=1e-4, atol=1e-5)
    assert found.gap is None
    assert len(np.unique(copies.reshape(5, -1), axis=0)) == 5  # no noise twice


@pytest.mark.slow
def test_the_noise_is_a_part_of_each_image_s_range():
    def method(network, params, x, target):
        return Attribution(x)

    x = np.zeros((2, 8, 8, 3), np.float32)
    x[0, 0, 0, 0], x[1, 0, 0, 0] = 1, -10
    spread = gradients.smoothgrad(method, key=KEY, samples=128, sigma=0.2, reduce='variance')(tiny.linear, None, x, 0)
    np.testing.assert_allclose(np.sqrt(np.asarray(spread.map).mean((1, 2, 3))), [0.2, 2.0], rtol=0.05)


@pytest.mark.slow
def test_smooth_averages_each_array_of_a_method_that_returns_two():
    weights, x = tiny.weights(), tiny.images(2)
    smoothed = gradients.smoothgrad(gradients.integrated_gradients, key=KEY, samples=3)
    found, gap = smoothed(tiny.linear, weights, x, 1, steps=2)
    assert (found.shape, gap.shape) == (x.shape, (2,))
    np.testing.assert_allclose(gap, 0, atol=1e-4)


@pytest.mark.slow
def test_smooth_saliency_of_a_square_is_the_saliency_at_the_mean_of_the_copies():
    def square(weights, x):
        return tiny.linear(weights, x**2)

    weights, x = tiny.weights(), tiny.images(2)
    options = {'key': KEY, 'samples': 6}
    same = gradients.smoothgrad(lambda network, params, x, target: Attribution(jnp.asarray(x)), **options)
    middle = same(square, weights, x, 1).map
    found = gradients.smoothgrad(gradients.saliency, **options)(square, weights, x, 1).map
    np.testing.assert_allclose(found, 2 * middle * weights[..., 1], rtol=1e-3, atol=1e-4)


def test_a_reduction_that_there_is_not_is_told():
    with tiny.unchecked(), pytest.raises(ValueError, match="reduce is 'median'"):
        gradients.smoothgrad(gradients.saliency, key=KEY, reduce='median')


@pytest.mark.parametrize(('samples', 'reduce'), [(0, 'mean'), (1, 'variance')])
def test_too_few_samples_are_told(samples, reduce):
    with pytest.raises(ValueError, match=f'samples is {samples}: too few'):
        gradients.smoothgrad(gradients.saliency, key=KEY, samples=samples, reduce=reduce)


@pytest.mark.parametrize(('steps', 'warns'), [(1, True), (64, False)])
def test_a_large_gap_is_told_in_one_sentence(steps, warns):
    def steep(weights, x):
        return jnp.tanh(5 * tiny.linear(weights, x) / 14)

    said = 'attributions miss the change of the logit by more than 5%, one by .* of .*: steps=1 are too few'
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        gradients.integrated_gradients(steep, tiny.weights(), tiny.images(), tiny.TARGET, steps=steps)
        jax.jit(lambda x: gradients.integrated_gradients(steep, tiny.weights(), x, 0, steps=1).gap)(tiny.images())
    found = [str(one.message) for one in caught if one.category is gradients.CompletenessWarning]
    assert len(found) == warns
    assert all(re.search(said, message) for message in found)
