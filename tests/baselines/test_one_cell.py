"""One cell among others: lobes are one nucleus, and what touches the cell is not of it."""

import numpy as np
import pytest

from alljax.baselines.segment import SEGMENTS, one_cell
from alljax.baselines.segmentation_scores import dice

Y, X = np.mgrid[:120, :120]
GLASS, CYTOPLASM, NUCLEUS, RED = (240, 225, 228), (190, 180, 215), (90, 60, 140), (215, 150, 155)


def disk(y, x, radius):
    return np.hypot(Y - y, X - x) < radius


LOBES = disk(50, 48, 9) | disk(52, 70, 9) | disk(70, 60, 9)
CELL = disk(58, 60, 28)
TOUCHING = (disk(58, 8, 25) | disk(58, 112, 25)) & ~CELL


def picture():
    """A cell with three lobes between two red cells that touch it."""
    image = np.empty((120, 120, 3), np.uint8)
    image[:] = GLASS
    for mask, color in ((TOUCHING, RED), (CELL, CYTOPLASM), (LOBES, NUCLEUS)):
        image[mask] = color
    noise = np.random.default_rng(0).normal(0, 2, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


def test_lobes_are_one_nucleus_and_what_is_pale_far_or_small_is_none():
    image = picture()
    far, speck = disk(15, 100, 9), disk(61, 52, 1.2)
    np.testing.assert_array_equal(one_cell.lobes(LOBES | far | speck, image), LOBES)
    pale = disk(74, 80, 8)  # as near as the lobes are to each other
    np.testing.assert_array_equal(one_cell.lobes(LOBES | pale, image), LOBES)
    np.testing.assert_array_equal(one_cell.lobes(LOBES | pale), LOBES | pale)
    assert not one_cell.lobes(disk(3, 3, 9)).any()
    assert not one_cell.lobes(np.zeros((20, 20), bool)).any()


def test_a_neighbor_is_cut_off_by_its_neck_and_by_its_color():
    everything = np.ones((120, 120), bool)
    found = one_cell.around_nucleus(LOBES, CELL | TOUCHING, everything, picture())
    assert dice(found, CELL) > 0.97
    wide = CELL | (disk(58, 96, 22) & ~CELL)  # no neck: only its color tells
    image = picture()
    image[wide & ~CELL] = RED
    assert dice(one_cell.around_nucleus(LOBES, wide, everything, image), CELL) > 0.97
    near = disk(58, 60, 20)
    assert not (one_cell.around_nucleus(LOBES, CELL, near, image) & ~near).sum() > 0.05 * near.sum()


def test_the_lobes_in_the_middle_are_cut_from_a_cell_that_they_touch():
    two = disk(60, 48, 18) | disk(60, 78, 18)
    found = one_cell.lobes_in_the_middle(two | disk(60, 24, 5), picture())
    assert 0.4 < found.sum() / two.sum() < 0.6


@pytest.mark.parametrize('name', ['three_levels', 'triangle_and_watershed'])
def test_a_lobed_cell_between_red_cells_is_found_better_than_by_version_1(name):
    image = picture()
    parts, before = SEGMENTS[name](image), SEGMENTS[name](image, version=1)
    assert dice(parts.nucleus, LOBES) > 0.95
    assert dice(parts.cell, CELL) > 0.93
    assert dice(before.nucleus, LOBES) < 0.8
