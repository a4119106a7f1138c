import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage import color as peer

from alljax.data import color

EDGES = [[v, v, v] for v in (0, 1, 128, 254, 255)] + [
    [red, green, blue] for red in (0, 255) for green in (0, 255) for blue in (0, 255)
]


@pytest.fixture(scope='module')
def image():
    """Random colors, barely tinted greys, almost black ones, and the corners of the cube."""
    rng = np.random.default_rng(0)
    anything = rng.integers(0, 256, (300, 3))
    greyish = rng.integers(0, 255, (60, 1)) + rng.integers(0, 2, (60, 3))
    dark = rng.integers(0, 3, (60, 3))
    pixels = np.concatenate([anything, greyish, dark, np.tile(EDGES, (5, 1))])
    return jnp.asarray(pixels[:480].reshape(2, 12, 20, 3), jnp.float32)


def theirs(image, model):
    fraction = np.asarray(image, np.float64) / 255
    hsv, ycbcr = 255 * peer.rgb2hsv(fraction), peer.rgb2ycbcr(fraction)
    hcbcr = np.concatenate([hsv[..., :1], ycbcr[..., 1:]], -1)
    gray = np.repeat(255 * fraction @ [[0.299], [0.587], [0.114]], 3, -1)  # scikit-image's luma is that of HDTV
    return {'RGB': np.asarray(image), 'HSV': hsv, 'YCbCr': ycbcr, 'HCbCr': hcbcr, 'gray': gray}[model]


def distance(ours, expected, model):
    """Differences of values, the hue's around its circle."""
    difference = np.abs(np.asarray(ours) - expected)
    if model.startswith('H'):
        difference[..., 0] = np.minimum(difference[..., 0], 255 - difference[..., 0])
    return difference.max()


@pytest.mark.parametrize('model', color.MODELS)
def test_equals_scikit_image(image, model):
    expected = theirs(image, model)
    assert distance(color.convert(image, model), expected, model) < 0.01
    assert distance(jax.jit(color.convert, static_argnums=1)(image, model), expected, model) < 0.01
    assert distance(jax.vmap(lambda one: color.convert(one, model))(image), expected, model) < 0.01


@pytest.mark.parametrize('model', color.MODELS)
def test_values_stay_in_0_to_255(image, model):
    ours = np.asarray(color.convert(image, model))
    assert ours.shape == image.shape
    assert ours.min() >= 0
    assert ours.max() <= 255


def test_names_are_the_papers_and_gray():
    assert color.MODELS == ('RGB', 'HSV', 'YCbCr', 'HCbCr', 'gray')


def test_rgb_is_its_input(image):
    assert color.convert(image, 'RGB') is image


def test_grey_has_no_hue_and_no_saturation():
    grey = jnp.tile(jnp.array([0.0, 77.0, 255.0])[None, :, None], (1, 1, 3))
    np.testing.assert_array_equal(color.convert(grey, 'HSV'), [[[0, 0, 0], [0, 0, 77], [0, 0, 255]]])
    np.testing.assert_allclose(color.convert(grey, 'HCbCr')[..., 1:], 128, atol=1e-3)


@pytest.mark.parametrize('model', color.MODELS)
def test_gradient_is_finite_everywhere(image, model):
    weights = jax.random.normal(jax.random.key(0), image.shape)
    almost_grey = image[..., :1] + jnp.array([0.0, 1e-5, 2e-5])
    almost_black = 1e-38 * image
    for pixels in (image, almost_grey, almost_black):
        gradient = jax.grad(lambda x: (weights * color.convert(x, model)).sum())(pixels)
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize('model', color.MODELS)
def test_gradient_is_the_slope(model):
    """Away from ties, where the conversions have one."""
    rng = np.random.default_rng(1)
    pixels = np.stack([rng.permuted([40, 130, 220]) for _ in range(50)]) + rng.uniform(-20, 20, (50, 3))
    image, weights = pixels.reshape(1, 50, 3), rng.normal(size=(1, 50, 3))
    step = 1e-4 * rng.normal(size=image.shape)
    rise = (weights * (theirs(image + step, model) - theirs(image - step, model))).sum() / 2
    gradient = jax.grad(lambda x: (weights * color.convert(x, model)).sum())(jnp.asarray(image, jnp.float32))
    np.testing.assert_allclose((gradient * step).sum(), rise, rtol=1e-3)


@pytest.mark.parametrize('model', color.MODELS)
def test_lowers_for_cuda(image, model):
    traced = jax.jit(lambda x: color.convert(x, model)).trace(image)
    assert 'return' in traced.lower(lowering_platforms=('cuda',)).as_text()


def test_an_unknown_model_is_named(image):
    with pytest.raises(ValueError, match=r"'LAB'; there are RGB, HSV, YCbCr, HCbCr"):
        color.convert(image, 'LAB')
