"""Jitter of stain, focus, noise, file and color against scikit-image, SciPy and Pillow."""

import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage
from skimage import color as skimage_color
from skimage import data as skimage_data

from alljax.data import color, jitter, jpeg
from alljax.data.augment import Augmentation

SIDE = 45  # no multiple of 8
SETTINGS = {'stain': 0.3, 'blur': 1.0, 'noise': 8.0, 'jpeg': 30, 'gray': 0.5}
OFF = Augmentation(rotate=0.0, mirror=False)


@pytest.fixture(scope='module')
def images():
    """Three parts of a stained tissue (scikit-image's immunohistochemistry)."""
    tissue = skimage_data.immunohistochemistry()
    return np.stack([tissue[at : at + SIDE, at : at + SIDE] for at in (0, 120, 300)]).astype(np.float32)


def test_a_stain_of_the_same_amount_changes_nothing(images):
    same = jitter.restained(jnp.asarray(images), jnp.ones((3, 3)), jnp.zeros((3, 3)))
    np.testing.assert_allclose(same, np.maximum(images, 1), atol=0.01)


def test_stains_are_separated_and_mixed_as_scikit_image_does(images):
    scale = -np.log(1e-6)  # scikit-image's densities are over this
    stains = np.maximum(skimage_color.rgb2hed(images / 255), 0.002)
    picture = 255 * skimage_color.hed2rgb(stains)
    gain, shift = np.array([[1.3, 0.8, 1.1], [0.7, 1.2, 1.0], [1.0, 1.0, 0.5]]), np.array([[0.1, 0.0, 0.2]] * 3)
    ours = jitter.restained(jnp.asarray(picture, jnp.float32), jnp.asarray(gain), jnp.asarray(shift))
    expected = skimage_color.hed2rgb(stains * gain[:, None, None] + shift[:, None, None] / scale)
    seen = picture.min(-1) > 2  # a darker pixel is cut at DARKEST
    assert seen.mean() > 0.9
    assert np.abs(np.asarray(ours) - 255 * expected)[seen].max() < 0.1


def test_a_blur_is_scipys(images):
    deviation = np.array([0.0, 0.7, 2.0], np.float32)
    ours = np.asarray(jax.jit(jitter.blurred, static_argnums=2)(jnp.asarray(images), jnp.asarray(deviation), 6))
    np.testing.assert_allclose(ours[0], images[0], atol=1e-3)
    for one, image, sigma in zip(ours[1:], images[1:], deviation[1:], strict=True):
        theirs = ndimage.gaussian_filter(image.astype(float), (sigma, sigma, 0), mode='reflect', radius=(6, 6, 0))
        np.testing.assert_allclose(one, theirs, atol=0.01)


def pillows(image, quality):
    file = io.BytesIO()
    Image.fromarray(image.astype(np.uint8)).save(file, 'JPEG', quality=quality, subsampling=0)
    return np.asarray(Image.open(file), float), [np.array(t) for t in Image.open(file).quantization.values()]


def test_a_jpeg_is_pillows(images):
    """To half a level on the mean: libjpeg's transforms are of whole numbers, and a tie may fall to either side."""
    qualities = [10, 60, 95]
    ours = np.asarray(jax.jit(jpeg.compressed)(jnp.asarray(images), jnp.array(qualities, jnp.float32)))
    steps = np.asarray(jpeg.tables(jnp.array(qualities, jnp.float32)))
    for one, image, quality, table in zip(ours, images, qualities, steps, strict=True):
        theirs, found = pillows(image, quality)
        assert np.abs(one - theirs).mean() < min(0.5, np.abs(image - theirs).mean() / 3)
        for channel in (0, 1):
            np.testing.assert_array_equal(table[..., channel].ravel(), found[channel].ravel())


def test_noise_is_normal_and_gray_is_the_luma():
    flat = jnp.full((200, 8, 8, 3), 128.0)
    noisy = np.asarray(jax.jit(jitter.noise, static_argnums=2)(flat, jax.random.key(0), 20.0)) - 128
    deviation = noisy.std(axis=(1, 2, 3))  # of each cell: uniform up to 20
    assert deviation.mean() == pytest.approx(10, abs=1)
    assert 17 < deviation.max() < 23
    colored = jnp.tile(jnp.array([200.0, 100.0, 50.0]), (200, 2, 2, 1))
    found = np.asarray(jitter.gray(colored, jax.random.key(0), 0.3))
    gray = (found[..., 0] == found[..., 1])[:, 0, 0]
    assert 0.2 < gray.mean() < 0.4
    np.testing.assert_allclose(found[gray], color.convert(colored, 'gray')[0, 0, 0, 0], rtol=1e-6)
    np.testing.assert_array_equal(found[~gray], colored[~gray])


def test_nothing_asked_for_is_the_very_same_array(images):
    array = jnp.asarray(images)
    assert jitter.jittered(array, jax.random.key(0), OFF) is array
    assert not OFF.at_each_step
    assert all(OFF._replace(**{name: value}).at_each_step for name, value in SETTINGS.items())


def test_each_folds_a_number_of_its_own_into_the_key():
    numbers = [jitter.STAIN, jitter.BLUR, jitter.NOISE, jitter.JPEG, jitter.GRAY]
    assert len({0, 1, *numbers}) == 7  # 0 and 1 give the keys of turn and light


@pytest.mark.parametrize('name', ['stain', 'blur', 'jpeg'])
def test_each_is_a_function_of_the_key_in_0_to_255(images, name):
    array, key = jnp.asarray(images[:, :16, :16]), jax.random.key(3)
    one = OFF._replace(**{name: SETTINGS[name]})
    changed = jax.jit(jitter.jittered, static_argnums=2)
    found = changed(array, key, one)
    np.testing.assert_array_equal(found, changed(array, key, one))
    assert np.abs(np.asarray(found) - array).max() > 1
    assert np.abs(np.asarray(found) - changed(array, jax.random.key(4), one)).max() > 1
    assert 0 <= found.min() <= found.max() <= 255


def test_all_together_lower_for_cuda(images):
    traced = jax.jit(jitter.jittered, static_argnums=2).trace(
        jnp.asarray(images), jax.random.key(0), OFF._replace(**SETTINGS)
    )
    assert traced.lower(lowering_platforms=('cuda',)).as_text()
