import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.metrics
import tiny

from alljax import gradients
from alljax.gradients import method_stability

KEY = jax.random.key(0)
X = np.random.default_rng(0).normal(size=(4, 9)).astype(np.float32)
WEIGHTS = np.random.default_rng(1).normal(size=(9, 3)).astype(np.float32)
TARGET = np.array([0, 1, 2, 1])


def apply(weights, x):
    return jnp.tanh(x) @ weights


@pytest.mark.parametrize('name', ['relative_input_stability', 'relative_output_stability'])
def test_stability_is_the_largest_ratio_among_what_is_predicted_alike(name):
    radius, samples = 0.5, 6  # large enough to change a class
    found = getattr(gradients, name)(gradients.saliency, apply, WEIGHTS, X, TARGET, key=KEY, radius=radius,
                                     samples=samples)  # fmt: skip
    noise = [jax.random.uniform(jax.random.fold_in(KEY, sample), X.shape, minval=-radius, maxval=radius)
             for sample in range(samples)]  # fmt: skip
    changed = 0
    for row in range(4):
        ratios = []
        for one in noise:
            moved = X[row] + np.asarray(one[row])
            maps = [np.asarray(gradients.saliency(apply, WEIGHTS, x[None], int(TARGET[row])).map)[0]
                    for x in (X[row], moved)]  # fmt: skip
            logits = [np.asarray(apply(WEIGHTS, x)) for x in (X[row], moved)]
            if logits[0].argmax() != logits[1].argmax():
                changed += 1
                continue
            above = np.linalg.norm((maps[0] - maps[1]) / maps[0])
            below = (X[row] - moved) / X[row] if 'input' in name else logits[0] - logits[1]
            ratios.append(above / np.linalg.norm(below))
        expected = max(ratios) if ratios else np.nan
        np.testing.assert_allclose(found[row], expected, rtol=1e-3)
    assert 0 < changed < 24


def test_a_zero_that_is_divided_by_counts_as_a_millionth():
    one, other = jnp.asarray([[0.0, 2.0]]), jnp.asarray([[1e-6, 3.0]])
    np.testing.assert_allclose(method_stability._relative(one, other), [np.hypot(1, 0.5)], rtol=1e-5)


def test_the_similarity_is_that_of_scikit_image():
    one, other = (np.random.default_rng(seed).normal(size=(3, 40)) for seed in (0, 1))
    with jax.enable_x64(True):
        found = method_stability.structural_similarity(jnp.asarray(one), jnp.asarray(one + other / 2))
    for value, a, b in zip(found, one, one + other / 2, strict=True):
        scale = max(a.max(), b.max()) - min(a.min(), b.min())
        assert float(value) == pytest.approx(skimage.metrics.structural_similarity(a, b, data_range=scale), rel=1e-9)


def test_the_random_logit_is_of_another_class_each_time():
    asked = []

    def method(apply, params, x, target, **options):
        asked.append(np.asarray(target))
        return gradients.saliency(apply, params, x, target)

    x, target = np.tile(X, (10, 1)), np.tile(TARGET, 10)
    found = gradients.random_logit(method, apply, WEIGHTS, x, target, key=KEY)
    assert (asked[1] != asked[0]).all()
    assert {tuple(pair) for pair in np.stack(asked, 1).tolist()} == {(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)}
    maps = [np.asarray(gradients.saliency(apply, WEIGHTS, x, target).map) for target in asked]
    np.testing.assert_allclose(found, method_stability.structural_similarity(*map(jnp.asarray, maps)), rtol=1e-5)

    def regardless(apply, params, x, target):
        return gradients.Attribution(jnp.asarray(x))

    np.testing.assert_allclose(gradients.random_logit(regardless, apply, WEIGHTS, X, TARGET, key=KEY), 1, rtol=1e-5)
    with pytest.raises(ValueError, match='random_logit: the network has one output'):
        gradients.random_logit(method, lambda weights, x: x[:, 0], WEIGHTS, X, None, key=KEY)


def test_maps_of_images_are_taken_in_one_row():
    x, weights = tiny.images(2), tiny.weights()
    found = gradients.random_logit(gradients.saliency, tiny.linear, weights, x, 1, key=KEY)
    assert found.shape == (2,)
    assert (np.abs(found) < 0.5).all()
