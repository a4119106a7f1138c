import numpy as np
import pytest
from scipy import ndimage
from skimage import filters

from alljax.data import denoise

ALL = denoise.NAMES[1:]


@pytest.fixture(scope='module')
def images():
    noise = np.random.default_rng(0).normal(128, 200, (2, 37, 45, 3))
    smooth = ndimage.gaussian_filter(noise, (0, 1, 1, 0))
    return np.clip(smooth, 0, 255).astype(np.uint8)


def peers(channel):
    """What SciPy and scikit-image make of one channel, called directly."""
    real = channel.astype(float)
    tile = np.pad(real, 16, mode='symmetric')
    return {
        'median': ndimage.median_filter(channel, size=3),
        'mean': ndimage.uniform_filter(real, size=3),
        'unsharp': 2 * real - ndimage.gaussian_filter(real, 1.0),
        'gaussian': ndimage.gaussian_filter(real, 1.0),
        'lowpass': filters.butterworth(tile, 0.2, high_pass=False)[16:-16, 16:-16],
    }


def neighbors(channel, row, column):
    height, width = channel.shape
    return [
        channel[y, x]
        for y in range(max(row - 1, 0), min(row + 2, height))
        for x in range(max(column - 1, 0), min(column + 2, width))
        if (y, x) != (row, column)
    ]


@pytest.mark.parametrize('how', [name for name in ALL if name != 'conservative'])
def test_each_channel_equals_a_direct_call(images, how):
    ours = denoise.filtered(images, how)
    assert ours.dtype == np.uint8
    assert (ours != images).any()
    for channel in range(3):
        expected = np.clip(peers(images[0, ..., channel])[how], 0, 255)
        assert np.abs(ours[0, ..., channel] - expected).max() < 0.501


def test_unsharp_and_gaussian_are_scikit_images(images):
    cell = images[1] / 255
    for how, theirs in [
        ('unsharp', filters.unsharp_mask(cell, 1.0, 1.0, channel_axis=2)),
        ('gaussian', filters.gaussian(cell, 1.0, mode='reflect', channel_axis=-1)),
    ]:
        assert np.abs(denoise.filtered(images, how)[1] - 255 * theirs).max() < 0.501


def test_conservative_equals_a_plain_loop():
    images = np.random.default_rng(1).integers(0, 256, (1, 8, 8, 3), np.uint8)
    expected = images.copy()
    for _, row, column, channel in np.ndindex(images.shape):
        around = neighbors(images[0, ..., channel], row, column)
        expected[0, row, column, channel] = min(max(images[0, row, column, channel], min(around)), max(around))
    np.testing.assert_array_equal(denoise.filtered(images, 'conservative'), expected)


@pytest.mark.parametrize('how', denoise.NAMES)
@pytest.mark.parametrize('value', [0, 100, 255])
def test_a_constant_image_is_unchanged(how, value):
    images = np.full((1, 20, 24, 3), value, np.uint8)
    np.testing.assert_array_equal(denoise.filtered(images, how), images)


@pytest.mark.parametrize('how', ['median', 'conservative'])
@pytest.mark.parametrize('place', [(6, 7), (0, 5), (0, 0), (11, 11)])
def test_salt_is_removed_also_at_a_border(how, place):
    images = np.full((1, 12, 12, 3), 90, np.uint8)
    images[0, *place, 1] = 255
    np.testing.assert_array_equal(denoise.filtered(images, how), np.full_like(images, 90))


@pytest.mark.parametrize('how', ALL)
def test_cells_and_channels_do_not_mix(images, how):
    together = denoise.filtered(images, how)
    alone = np.concatenate([denoise.filtered(images[i : i + 1], how) for i in range(2)])
    np.testing.assert_array_equal(together, alone)
    other = images.copy()
    other[..., 0] = 7
    np.testing.assert_array_equal(denoise.filtered(other, how)[..., 1:], together[..., 1:])


@pytest.mark.parametrize('how', ALL)
def test_the_images_given_stay_as_they_are(images, how):
    before = images.copy()
    denoise.filtered(images, how)
    np.testing.assert_array_equal(images, before)


def test_none_is_the_very_same_array(images):
    assert denoise.filtered(images, 'none') is images


def test_an_image_smaller_than_the_padding_is_filtered():
    images = np.random.default_rng(2).integers(0, 256, (1, 5, 4, 3), np.uint8)
    for how in ALL:
        assert denoise.filtered(images, how).shape == images.shape


def test_names_are_as_documented_and_another_is_refused(images):
    assert denoise.NAMES == ('none', 'median', 'mean', 'unsharp', 'gaussian', 'conservative', 'lowpass')
    with pytest.raises(ValueError, match="'blur'; there are none, median, mean"):
        denoise.filtered(images, 'blur')
