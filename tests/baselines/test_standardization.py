import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from alljax.baselines import standardization

RNG = np.random.default_rng(0)
VALUES = RNG.normal(5, 3, (40, 6)) * np.array([1, 2, 3, 4, 5, 0])  # the last column is constant


def test_one_block_by_the_training_cells_is_scikit_learn_s():
    found = standardization.fitted(VALUES, (6,)).apply(VALUES)
    np.testing.assert_allclose(found, StandardScaler().fit_transform(VALUES), atol=1e-12)


def test_no_block_wins_by_its_width():
    values = RNG.normal(size=(50, 11))
    found = standardization.fitted(values, (1, 0, 10)).apply(values)
    first, second = found[:, :1].var(0).sum(), found[:, 1:].var(0).sum()
    assert first == pytest.approx(second) == pytest.approx(11 / 2)


def test_a_slide_is_drawn_toward_its_own_mean_by_n_over_n_plus_8():
    standard = standardization.fitted(VALUES, (6,))
    slide = VALUES[:4] + 7
    mean = 4 / 12 * slide.mean(0) + 8 / 12 * VALUES.mean(0)
    variance = 4 / 12 * slide.var(0) + 8 / 12 * VALUES.var(0)
    expected = (slide - mean) / np.where(variance > 0, np.sqrt(variance), 1)
    members = [np.arange(4), np.arange(4, 5)]
    found = standardization.by_set(standard, np.concatenate([slide, VALUES[:1]]), members)
    np.testing.assert_allclose(found[:4], expected)
    np.testing.assert_allclose(found[4], standard.apply(VALUES[:1])[0])  # one cell is no sample
