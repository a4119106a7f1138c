import numpy as np
import pytest

from alljax.data import cell_region


@pytest.fixture
def picture():
    """A dark red disk on light noise, and its mask."""
    y, x = np.mgrid[:40, :50]
    mask = np.hypot(y - 15, x - 30) < 8
    image = np.random.default_rng(0).integers(150, 251, (40, 50, 3), np.uint8)
    image[mask] = (90, 10, 30)
    return image, mask


@pytest.mark.parametrize('fill', cell_region.FILLS)
def test_the_cell_stays_and_the_rest_goes(picture, fill):
    image, mask = picture
    found = cell_region.without_surroundings(image, mask, fill)
    np.testing.assert_array_equal(found[mask], image[mask])
    outside = found[~mask].astype(float)
    if fill == 'white':
        assert (outside == 255).all()
    else:
        assert outside.std() < 0.2 * image[~mask].std()
        assert outside.min() > 180  # nothing of the dark cell runs into it


@pytest.mark.parametrize('fill', cell_region.FILLS)
def test_no_cell_and_nothing_but_a_cell_leave_the_picture(picture, fill):
    image, mask = picture
    for none in (np.zeros_like(mask), np.ones_like(mask)):
        np.testing.assert_array_equal(cell_region.without_surroundings(image, none, fill), image)


def test_a_crop_is_around_the_cell_with_its_scale(picture):
    image, mask = picture
    assert cell_region.middle(mask) == (15, 30)
    found = cell_region.cropped(image, cell_region.middle(mask), 20)
    np.testing.assert_array_equal(found, image[5:25, 20:40])
    assert cell_region.middle(np.zeros_like(mask)) == (20, 25)
    mask[10:12, 38:] = True  # a neighbor that hangs on to it
    assert np.abs(np.subtract(cell_region.middle(mask), (15, 30))).max() <= 1


def test_beyond_the_border_a_crop_is_a_mirror_image(picture):
    image, _ = picture
    found = cell_region.cropped(image, (3, 48), 16)
    expected = np.pad(image, ((20, 20), (20, 20), (0, 0)), mode='symmetric')[15:31, 60:76]
    np.testing.assert_array_equal(found, expected)
