import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from alljax import gradients
from alljax.gradients import imputed_faithfulness

KEY = jax.random.key(0)
X, WEIGHTS = tiny.images(2, size=8), tiny.weights() / 10
TARGET = np.array([2, 1])
MARKS = np.random.default_rng(3).normal(size=(2, 8, 8)).astype(np.float32)


def filled_by_hand(image, gone):
    """The equations of Rong et al. 2022 as one dense system: each gone pixel is the weighted mean of its neighbors."""
    height, width, _ = image.shape
    matrix, right = np.eye(height * width), image.reshape(-1, 3).astype(float).copy()
    for down, across in np.argwhere(gone):
        row = down * width + across
        matrix[row], right[row], whole = 0, 0, 0
        for (i, j), weight in imputed_faithfulness.NEIGHBORS.items():
            if 0 <= down + i < height and 0 <= across + j < width:
                matrix[row, (down + i) * width + across + j] -= weight
                whole += weight
        matrix[row, row] = whole
    return np.linalg.solve(matrix, right).reshape(image.shape)


def test_gone_pixels_are_the_means_of_their_neighbors():
    gone = np.random.default_rng(0).random((2, 8, 8)) < 0.6
    with jax.enable_x64(True):
        found = np.asarray(imputed_faithfulness.impute(jnp.asarray(X, jnp.float64), jnp.asarray(gone)))
    for row in range(2):
        np.testing.assert_allclose(found[row], filled_by_hand(X[row], gone[row]), rtol=1e-8, atol=1e-8)
        np.testing.assert_array_equal(found[row][~gone[row]], X[row][~gone[row]].astype(float))


def test_road_asks_again_without_the_most_marked_pixels():
    percentages = (10, 50, 90)
    found = gradients.road(tiny.linear, WEIGHTS, X, TARGET, MARKS, key=KEY, percentages=percentages, batch_size=4)
    noise = np.asarray(0.01 * jax.random.normal(KEY, X.shape))
    for row in range(2):
        order = np.argsort(-MARKS[row].ravel(), kind='stable')
        for step, part in enumerate(percentages):
            gone = np.zeros(64, bool)
            gone[order[: int(64 * part / 100)]] = True
            gone = gone.reshape(8, 8)
            image = filled_by_hand(X[row], gone) + noise[row] * gone[..., None]
            logits = np.asarray(tiny.linear(WEIGHTS, image[None].astype(np.float32)))[0]
            shares = np.exp(logits) / np.exp(logits).sum()
            np.testing.assert_allclose(found.probability[row, step], shares[TARGET[row]], rtol=1e-3)
            assert found.correct[row, step] == (logits.argmax() == TARGET[row])


def test_irof_is_the_area_over_the_curve_of_shares():
    parts = np.random.default_rng(0).integers(0, 4, (2, 8, 8))
    parts[1][parts[1] == 3] = 0  # one image has a part less
    found = gradients.irof(tiny.linear, WEIGHTS, X, TARGET, MARKS, segments=parts, batch_size=3)
    for row in range(2):
        numbers = np.unique(parts[row])
        means = [MARKS[row][parts[row] == part].mean() for part in numbers]
        image, shares = X[row].copy(), []
        for part in [None, *numbers[np.argsort(-np.array(means))]]:
            image[parts[row] == part] = X[row].mean((0, 1))
            logits = np.asarray(tiny.linear(WEIGHTS, image[None]))[0]
            shares.append((np.exp(logits) / np.exp(logits).sum())[TARGET[row]])
        shares = np.array(shares) / shares[0]
        count = len(numbers)
        np.testing.assert_allclose(found.share[row, : count + 1], shares, rtol=1e-3)
        assert np.isnan(found.share[row, count + 1 :]).all()
        np.testing.assert_allclose(found.area[row], 1 - np.trapezoid(shares, dx=1 / count), rtol=1e-3, atol=1e-5)
        # quantus, IROF.evaluate_batch: the parts less the trapezoids of the shares from the first part on
        quantus = count - np.trapezoid(shares[1:], dx=1)
        np.testing.assert_allclose(count - np.trapezoid(found.share[row, 1 : count + 1]), quantus, rtol=1e-3)


@pytest.mark.parametrize('percentages', [(), (0,), (100,)])
def test_percentages_that_hide_nothing_or_all_are_told(percentages):
    with pytest.raises(ValueError, match='road: percentages are'):
        gradients.road(tiny.linear, WEIGHTS, X, TARGET, MARKS, key=KEY, percentages=percentages)
