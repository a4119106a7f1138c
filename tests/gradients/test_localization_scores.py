import numpy as np
import pytest

from alljax.gradients import localization

MARKS = np.float32([[[4, -3], [2, 1]], [[0, 1], [-5, 2]], [[1, 2], [3, 4]]])
MASK = np.array([[[1, 0], [1, 0]], [[0, 1], [0, 0]], [[0, 0], [0, 0]]])


def test_it_is_as_by_hand():
    found = localization(MARKS, MASK)
    np.testing.assert_allclose(found.pointing, [1, 0, np.nan])
    np.testing.assert_allclose(found.mass, [6 / 10, 1 / 8, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found.rank, [1 / 2, 0, np.nan])
    np.testing.assert_allclose(found.area, [1 / 2, 1 / 4, np.nan])


def test_an_empty_mask_has_no_value_and_a_full_one_has_all():
    empty, full = localization(MARKS, np.zeros_like(MASK)), localization(MARKS, np.ones_like(MASK))
    assert np.isnan(empty).all()
    np.testing.assert_allclose(full, np.ones((4, 3)), rtol=1e-6)


def test_channels_are_summed_before_signs_are_dropped():
    split = np.stack([MARKS + 7, -7 * np.ones_like(MARKS)], -1)
    np.testing.assert_allclose(localization(split, MASK), localization(MARKS, MASK), rtol=1e-5)


def test_shapes_that_do_not_fit_are_told():
    with pytest.raises(ValueError, match=r'\(3, 2, 2\) and the mask \(3, 2, 1\)'):
        localization(MARKS, MASK[..., :1])


def test_a_map_that_is_zero_everywhere_points_nowhere():
    found = localization(np.zeros((1, *MARKS.shape[1:3]), np.float32), np.ones((1, *MASK.shape[1:])))
    assert np.isnan([found.pointing, found.mass, found.rank]).all()
    np.testing.assert_array_equal(found.area, [1])
