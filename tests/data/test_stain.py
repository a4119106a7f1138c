"""Normalization of light and stain against scikit-image and a plain Macenko, and on pictures that show no stain."""

import numpy as np
import pytest
from skimage import color
from skimage import data as skimage_data

from alljax.data import stain

SIDE = 48


@pytest.fixture(scope='module')
def images():
    """Four parts of a stained tissue (scikit-image's immunohistochemistry), the last in another light."""
    tissue = skimage_data.immunohistochemistry()
    parts = np.stack([tissue[at : at + SIDE, at : at + SIDE] for at in (0, 120, 300, 400)])
    parts[3] = parts[3] * np.array([0.7, 0.9, 1.0])
    return parts


def odd():
    """Pictures of which no stain can be told: black, white, gray, one color, two pixels, noise, a red one."""
    rng = np.random.default_rng(0)
    gray = np.repeat(rng.integers(0, 256, (20, 20, 1), np.uint8), 3, 2)
    red = np.zeros((20, 20, 3), np.uint8)
    red[..., 0] = rng.integers(0, 256, (20, 20))
    flat = [np.full((20, 20, 3), value, np.uint8) for value in (0, 1, 245, 255, (120, 40, 160))]
    return [*flat, gray, red, rng.integers(0, 256, (20, 20, 3), np.uint8), rng.integers(0, 256, (2, 1, 3), np.uint8)]


def published_macenko(image, target=None):
    """The authors' code as it is commonly written in NumPy; without a target stains and amounts, else the picture."""
    density = -np.log((image.reshape(-1, 3).astype(float) + 1) / 240)
    clear = density[~np.any(density < 0.15, axis=1)]
    _, vectors = np.linalg.eigh(np.cov(clear.T))
    projected = clear @ vectors[:, 1:3]
    phi = np.arctan2(projected[:, 1], projected[:, 0])
    low, high = np.percentile(phi, 1), np.percentile(phi, 99)
    first = vectors[:, 1:3] @ np.array([np.cos(low), np.sin(low)])
    second = vectors[:, 1:3] @ np.array([np.cos(high), np.sin(high)])
    stains = np.array([first, second] if first[0] > second[0] else [second, first])
    amounts = np.linalg.lstsq(stains.T, density.T, rcond=None)[0]
    most = np.percentile(amounts, 99, axis=1)
    if target is None:
        return stains, most
    amounts *= (target[1] / most)[:, None]
    return np.clip(240 * np.exp(-target[0].T @ amounts), 0, 255).T.reshape(image.shape)


def test_macenko_is_the_published_formula(images):
    goal = published_macenko(images[0])
    for image in images[1:]:
        found, (stains, most) = stain.macenko_stains(image), published_macenko(image)
        np.testing.assert_allclose(found.densities, stains, atol=1e-9)
        np.testing.assert_allclose(found.most, most, rtol=1e-9)
        ours = stain.macenko(image, (*goal[0].ravel(), *goal[1]))
        assert np.abs(ours - published_macenko(image, goal)).max() <= 0.501


def test_reinhard_has_the_targets_lab(images):
    goal = stain.target(images[:1], 'reinhard')
    lab = color.rgb2lab(images[0])
    np.testing.assert_allclose(goal, [*lab.mean((0, 1)), *lab.std((0, 1))], rtol=1e-6)
    found = color.rgb2lab(stain.normalized(images, 'reinhard', goal))
    np.testing.assert_allclose(found.mean((1, 2)), np.tile(goal[:3], (4, 1)), atol=0.6)  # L*, a*, b*: colors are cut
    np.testing.assert_allclose(found.std((1, 2)), np.tile(goal[3:], (4, 1)), atol=0.6)
    assert np.abs(stain.reinhard(images[0], goal).astype(int) - images[0]).max() <= 1


def test_white_balance_brings_each_channels_90th_percentile_to_225(images):
    level = np.percentile(images[3], 90, axis=(0, 1))
    np.testing.assert_array_equal(
        stain.normalized(images, 'white_balance')[3], np.clip(np.rint(images[3] * (225 / level)), 0, 255)
    )


@pytest.mark.parametrize(('how', 'left'), [('white_balance', 0.05), ('macenko', 0.5), ('reinhard', 0.15)])
def test_another_light_comes_to_the_same_picture(images, how, left):
    """A part of the picture under a lamp of another color and strength is brought nearer to what it was."""
    dim = np.rint(images[:3] * np.array([0.8, 0.9, 0.7])).astype(np.uint8)
    goal = stain.target(images[:3], how)
    first, second = (stain.normalized(part, how, goal).astype(int) for part in (images[:3], dim))
    assert np.abs(first - second).mean() < left * np.abs(images[:3].astype(int) - dim).mean()


def test_a_target_is_the_median_of_the_cells(images):
    each = np.array([[*part.densities.ravel(), *part.most] for part in map(stain.macenko_stains, images)])
    goal = np.array(stain.target(images, 'macenko'))
    np.testing.assert_allclose(goal[6:], np.median(each[:, 6:], 0))
    np.testing.assert_allclose(np.linalg.norm(goal[:6].reshape(2, 3), axis=1), 1)
    np.testing.assert_allclose(goal[:6], np.median(each[:, :6], 0), atol=0.05)
    assert {how: len(stain.target(images, how)) for how in stain.NAMES} == stain.TARGET_NUMBERS
    blank = np.full((2, 8, 8, 3), 250, np.uint8)
    assert stain.target(blank, 'macenko') == stain.MACENKO


@pytest.mark.parametrize('how', ['white_balance', 'macenko', 'reinhard'])
@pytest.mark.filterwarnings('error')
def test_a_picture_without_stain_is_no_error(images, how):
    goal = stain.target(images, how)
    for picture in odd():
        before = picture.copy()
        found = stain.normalized(picture[None], how, goal)
        assert (found.shape, found.dtype) == (picture[None].shape, np.uint8)
        np.testing.assert_array_equal(picture, before)
        assert all(np.isfinite(stain.target(picture[None], how)))
    assert stain.macenko_stains(odd()[5]) is None  # gray
    assert stain.macenko_stains(odd()[2]) is None  # an empty slide
    np.testing.assert_array_equal(stain.normalized(odd()[0][None], 'white_balance')[0], odd()[0])


def test_none_is_the_very_same_array_and_another_name_is_refused(images):
    assert stain.normalized(images, 'none') is images
    with pytest.raises(ValueError, match="'vahadane'; there are none, white_balance, macenko, reinhard"):
        stain.normalized(images, 'vahadane')
