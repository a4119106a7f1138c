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


def test_each_pixel_is_blended_of_the_four_around_its_place():
    """On noise, where a place that is rounded in two ways would show as another pixel."""
    rng = np.random.default_rng(0)
    cells = rng.integers(0, 256, (6, 97, 90, 3), np.uint8)
    angle, sign = rng.uniform(-np.pi, np.pi, 6).astype(np.float32), np.float32([1, -1, 1, -1, 1, -1])
    ours = np.asarray(jax.jit(augment.warp, static_argnums=3)(cells, angle, sign, 80))
    for cell, turn, flip, found in zip(cells, np.float64(angle), sign, ours, strict=True):
        y, x = (np.mgrid[:80, :80] + 0.5) / 80 - 0.5
        x = x * flip
        rows, columns = (np.cos(turn) * y + np.sin(turn) * x + 0.5), (np.cos(turn) * x - np.sin(turn) * y + 0.5)
        places = rows * 97 - 0.5, columns * 90 - 0.5
        wide = np.pad(cell, ((97, 97), (90, 90), (0, 0)), 'symmetric').astype(float)
        expected = [ndimage.map_coordinates(wide[..., c], (places[0] + 97, places[1] + 90), order=1) for c in range(3)]
        np.testing.assert_allclose(found, np.stack(expected, -1), atol=0.1)


@pytest.mark.parametrize('shape', [(1, 5), (5, 1), (1, 1)])
def test_a_picture_of_one_pixel_a_side_is_no_other_at_its_edges(shape):
    cells = np.random.default_rng(0).integers(0, 256, (1, *shape, 3), np.uint8)
    resized = np.asarray(augment.resize(jnp.asarray(cells), 5))[0]
    np.testing.assert_allclose(resized, np.broadcast_to(cells[0], (5, 5, 3)), atol=1e-3)


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
