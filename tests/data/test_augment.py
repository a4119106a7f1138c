import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from alljax.data import augment


@pytest.fixture(scope='module')
def images():
    noise = np.random.default_rng(0).normal(128, 200, (3, 41, 41, 3))
    return np.clip(ndimage.gaussian_filter(noise, (0, 2, 2, 0)) * 2 - 128, 0, 255).astype(np.uint8)


def warp(images, angle, sign, size=41):
    count = len(images)
    return np.asarray(augment.warp(jnp.asarray(images), jnp.full(count, angle), jnp.full(count, sign), size))


def test_no_turn_leaves_the_pixels(images):
    np.testing.assert_allclose(augment.resize(jnp.asarray(images), 41), images, atol=1e-3)


@pytest.mark.parametrize('quarters', [1, 2, 3])
def test_quarter_turns_are_exact(images, quarters):
    turned = warp(images, quarters * np.pi / 2, 1.0)
    np.testing.assert_allclose(turned, np.rot90(images, quarters, axes=(1, 2)), atol=0.05)


def test_mirror_is_exact(images):
    np.testing.assert_allclose(warp(images, 0.0, -1.0), images[:, :, ::-1], atol=1e-3)


def test_any_angle_equals_scipy(images):
    turned = warp(images, np.deg2rad(33), 1.0)
    for ours, image in zip(turned, images, strict=True):
        theirs = ndimage.rotate(image.astype(float), 33, reshape=False, order=1, mode='reflect')
        inner = np.s_[8:-8, 8:-8]
        assert np.abs(ours[inner] - theirs[inner]).max() < 0.5


def test_resize_equals_pillow_enlarging(images):
    ours = np.asarray(augment.resize(jnp.asarray(images), 82))
    theirs = np.stack([Image.fromarray(image).resize((82, 82), Image.Resampling.BILINEAR) for image in images])
    assert np.abs(ours - theirs).max() <= 1.01  # Pillow rounds after each of its two passes


def test_draws_depend_on_the_key_only_and_cover_their_range():
    draw = jax.jit(lambda key: augment.draw(key, 2000, degrees=90.0, mirror=True))
    angle, sign = draw(jax.random.key(0))
    again, _ = draw(jax.random.key(0))
    np.testing.assert_array_equal(angle, again)
    assert not np.array_equal(angle, draw(jax.random.key(1))[0])
    assert -np.pi / 2 <= angle.min() < -1.5
    assert 1.5 < angle.max() <= np.pi / 2
    assert abs(sign.mean()) < 0.1
    _, kept = augment.draw(jax.random.key(0), 50, degrees=0.0, mirror=False)
    assert (kept == 1).all()


def test_normalize_is_torchvisions_formula(images):
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ours = augment.normalize(jnp.asarray(images, jnp.float32), mean, deviation)
    np.testing.assert_allclose(ours, (images / 255 - mean) / deviation, atol=1e-5)
