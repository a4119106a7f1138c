from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from alljax.models import cpu_convolution
from alljax.models.cpu_convolution import bands, depthwise, grouped, winograd, xla
from alljax.models.row_product import row_product

compiled = partial(jax.jit, compiler_options={'xla_backend_optimization_level': 0})  # in a quarter of the time


def relative(ours, theirs):
    ours, theirs = np.asarray(ours), np.asarray(theirs)  # NumPy, because JAX would compile this for each shape
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def operands(image, kernel, dtype=jnp.float64):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), dtype) for shape in (image, kernel, image, kernel)]


def derivatives(convolve, x, w, dx, dw):
    """Value, gradients, Hessian-vector product."""
    loss = lambda x, w: (convolve(x, w) ** 3).sum()  # noqa: E731
    return convolve(x, w), jax.jvp(jax.grad(loss, (0, 1)), (x, w), (dx, dw))


def same_everywhere(ours, theirs, values, tolerance=1e-12):
    """Both functions of image and kernel, and their derivatives, are one."""
    results = (jax.tree.leaves(compiled(partial(derivatives, f))(*values)) for f in (ours, theirs))
    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype
        assert relative(a, b) < tolerance


#        image, kernel, groups, strides, padding
CASES = [
    ((2, 5, 6, 3), (3, 3, 1, 3), 3, (1, 1), 'SAME'),
    ((2, 8, 7, 3), (3, 3, 1, 3), 3, (2, 2), ((1, 1), (1, 1))),
    ((1, 9, 8, 2), (5, 2, 1, 2), 2, (3, 2), ((0, 2), (3, 0))),
    ((2, 4, 4, 2), (7, 7, 1, 2), 2, (1, 1), ((3, 3), (3, 3))),
    ((2, 6, 5, 4), (3, 3, 2, 6), 2, (2, 2), 'SAME'),
    ((2, 5, 4, 2), (3, 1, 1, 6), 2, (1, 1), 'VALID'),  # three filters for each channel
    ((2, 7, 6, 3), (1, 1, 3, 4), 1, (2, 3), 'VALID'),
    ((2, 7, 6, 3), (1, 1, 3, 4), 1, (2, 2), ((0, 1), (1, 0))),
    ((1, 19, 16, 2), (11, 11, 2, 3), 1, (4, 3), ((2, 2), (0, 3))),  # blocks of pixels, for the image's gradient
    ((1, 13, 15, 3), (7, 8, 3, 2), 1, (2, 2), 'VALID'),
]


@pytest.mark.parametrize(('image', 'kernel', 'groups', 'strides', 'padding'), CASES)
def test_every_form_is_the_library_s_with_its_derivatives(image, kernel, groups, strides, padding):
    with jax.enable_x64(True):
        same_everywhere(
            *(
                lambda x, w, f=f: f(x, w, strides, padding, feature_group_count=groups)
                for f in (cpu_convolution.convolve, xla.convolve)
            ),
            operands(image, kernel),
        )


@pytest.mark.parametrize(('groups', 'channels', 'features'), [(32, 64, 64), (40, 40, 80), (3, 120, 6), (17, 34, 17)])
def test_groups_of_any_number_and_size(groups, channels, features):
    x, w, *_ = operands((1, 4, 5, channels), (3, 3, channels // groups, features), jnp.float32)
    pads = ((1, 1), (1, 1))
    expected = xla.convolve(x, w, (1, 1), pads, feature_group_count=groups)
    ours = compiled(lambda x, w: grouped.convolve(x, w, (1, 1), pads, groups))(x, w)
    assert relative(ours, expected) < 1e-5


@pytest.mark.parametrize('shape', [(5, 3), (2, 4, 3), (2, 4, 5, 3), (0, 4, 3)])
def test_a_product_of_rows_is_the_matrix_product(shape):
    with jax.enable_x64(True):
        same = operands(shape, (3, 2))
        if shape[0]:
            same_everywhere(row_product, jnp.matmul, same)
        assert row_product(*same[:2]).shape == (*shape[:-1], 2)


@pytest.mark.parametrize('axes', [(0, None), (1, 2)])
def test_depthwise_is_batched_before_and_after_differentiation(axes):
    with jax.enable_x64(True):
        values = [
            x if axis is None else jnp.stack([x, 2 * x], axis)
            for x, axis in zip(operands((1, 4, 5, 3), (3, 3, 1, 3)), axes * 2, strict=True)
        ]
        pads = ((1, 1), (0, 1))
        forms = (
            lambda x, w: depthwise.convolve(x, w, (2, 1), pads),
            lambda x, w: xla.convolve(x, w, (2, 1), pads, feature_group_count=3),
        )
        same_everywhere(*(jax.vmap(f, axes) for f in forms), values)
        loss = lambda x, w, f: (f(x, w) ** 3).sum()  # noqa: E731
        of_each = [jax.vmap(jax.grad(partial(loss, f=f), (0, 1)), axes) for f in forms]
        for a, b in zip(*(compiled(f)(*values[:2]) for f in of_each), strict=True):
            assert relative(a, b) < 1e-12


def test_depthwise_kernel_gradient_in_bands_of_rows(monkeypatch):
    monkeypatch.setattr(depthwise, 'PRODUCTS', 2 * 2 * 5 * 3)
    with jax.enable_x64(True):
        forms = (depthwise.convolve, partial(xla.convolve, feature_group_count=3))
        pads = ((1, 1), (1, 1))
        same_everywhere(
            *(lambda x, w, f=f: f(x, w, (2, 1), pads) for f in forms), operands((2, 11, 5, 3), (3, 3, 1, 3))
        )


@pytest.mark.parametrize(
    ('kernel', 'strides', 'padding'),
    [
        ((3, 2), (1, 1), ((1, 1), (1, 0))),
        ((3, 3), (2, 1), ((0, 2), (1, 1))),
        ((5, 1), (2, 2), ((4, 0), (0, 0))),
        ((2, 3), (3, 1), ((1, 1), (0, 1))),
        ((2, 2), (1, 1), ((5, 4), (0, 0))),  # bands that see nothing of the image, so all at once
        ((3, 3), (1, 1), ((1, 1), (1, 1))),  # by Winograd's filtering, where there are channels enough
    ],
)
def test_the_kernel_gradient_of_a_large_image_in_bands_of_rows(monkeypatch, kernel, strides, padding):
    monkeypatch.setattr(bands, 'LARGE', 2)
    monkeypatch.setattr(bands, 'ROWS', 3)
    with jax.enable_x64(True):
        values = operands((2, 17, 13, 3), (*kernel, 3, 2))
        forms = [lambda x, w, f=f: f(x, w, strides, padding) for f in (bands.convolve, xla.convolve)]
        same_everywhere(*forms, values)
        if kernel == (3, 3) and strides == (1, 1):
            same_everywhere(winograd.convolve, forms[1], values)


def test_bands_are_few_however_large_the_image():
    gradient = jax.grad(lambda w, x: bands.convolve(x, w, (1, 1), ((1, 1), (1, 1))).sum())
    traced = str(jax.make_jaxpr(gradient)(jnp.ones((3, 3, 1, 1)), jnp.ones((1, 500, 3, 1))))
    assert 1 < traced.count('conv_general_dilated') <= bands.BANDS + 2  # those of the output and its tangent


@pytest.mark.parametrize(
    ('image', 'kernel', 'options'),
    [
        ((1, 6, 6, 3), (3, 3, 1, 3), {'rhs_dilation': (2, 2), 'feature_group_count': 3}),
        ((1, 6, 6, 3), (3, 3, 3, 2), {'lhs_dilation': (2, 1), 'padding': ((0, 1), (1, 1))}),
        ((1, 3, 6, 6), (1, 1, 3, 2), {'dimension_numbers': ('NCHW', 'HWIO', 'NCHW')}),
        ((1, 6, 3), (1, 3, 2), {'dimension_numbers': ('NWC', 'WIO', 'NWC'), 'strides': (1,)}),
        ((4, 6, 6, 3), (3, 3, 3, 2), {'batch_group_count': 2}),
        ((0, 6, 6, 3), (3, 3, 1, 3), {'feature_group_count': 3}),
        ((1, 6, 6, 3), (3, 3, 1, 3), {'feature_group_count': 3, 'dtype': jnp.bfloat16}),
        ((1, 6, 6, 3), (1, 1, 3, 2), {'dtype': jnp.bfloat16, 'preferred_element_type': jnp.float32}),
        ((1, 6, 6, 3), (1, 1, 3, 2), {'precision': lax.Precision.HIGHEST, 'rhs_dilation': (1, 1)}),
    ],
)
def test_the_unusual_is_the_library_s(image, kernel, options):
    options = dict(options)
    dtype, strides = options.pop('dtype', jnp.float32), options.pop('strides', (1, 1))
    x, w, *_ = operands(image, kernel, dtype)
    padding = options.pop('padding', 'SAME')
    ours, theirs = (f(x, w, strides, padding, **options) for f in (cpu_convolution.convolve, xla.convolve))
    assert ours.dtype == theirs.dtype
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(('channels', 'features', 'groups'), [(5, 4, 1), (5, 4, 2), (2, 6, 6), (2, 4, 3), (6, 4, 0)])
def test_shapes_that_do_not_fit_are_refused(channels, features, groups):
    image, kernel = jnp.ones((1, 4, 4, 6)), jnp.ones((1, 1, channels, features))
    for convolve in (cpu_convolution.convolve, xla.convolve):
        with pytest.raises((TypeError, ValueError, ZeroDivisionError)):
            convolve(image, kernel, (1, 1), 'SAME', feature_group_count=groups)


@pytest.mark.parametrize('groups', [1, 2, 4])
def test_a_kernel_larger_than_the_image_gives_nothing(groups):
    image, kernel = jnp.ones((1, 2, 5, 4)), jnp.ones((3, 3, 4 // groups, 4))
    assert cpu_convolution.convolve(image, kernel, (1, 1), 'VALID', feature_group_count=groups).shape == (1, 0, 3, 4)


def test_shape_picks_the_form():
    def form(size, channels, kernel, features, groups=1, strides=(1, 1)):
        x = jax.ShapeDtypeStruct((1, size, size, channels), jnp.float32)
        w = jax.ShapeDtypeStruct((kernel, kernel, channels // groups, features), jnp.float32)
        convolve = partial(cpu_convolution.convolve, feature_group_count=groups)
        program = jax.make_jaxpr(lambda x, w: convolve(x, w, strides, 'SAME'))(x, w)
        return {equation.primitive.name for equation in program.eqns}

    assert 'depthwise_filter' in form(7, 32, 3, 32, 32)
    assert 'dot_general' in form(7, 32, 1, 64)
    assert 'custom_jvp_call' in form(14, 64, 3, 64)
    assert 'custom_jvp_call' in form(28, 3, 7, 8, strides=(2, 2))
    assert 'custom_jvp_call' in form(224, 3, 3, 64)
    for unfit in [(7, 512, 3, 512), (27, 128, 3, 32)]:
        assert form(*unfit) == {'conv_general_dilated'}


@pytest.mark.parametrize(('size', 'height', 'width'), [(3, 4, 9), (5, 6, 5)])
def test_winograd_is_the_convolution_with_its_derivatives(size, height, width):
    with jax.enable_x64(True):
        plain = lambda x, w: xla.convolve(x, w, (1, 1), [(size // 2, size // 2)] * 2)  # noqa: E731
        shapes = (2, height, width, 6), (size, size, 6, 7)
        same_everywhere(winograd.convolve, plain, operands(*shapes), 1e-11)
        for dtype, tolerance in ((jnp.float32, 1e-5), (jnp.float64, 1e-12)):
            x, w, *_ = operands(*shapes, dtype)
            assert relative(compiled(winograd.convolve)(x, w), plain(x, w)) < tolerance


def test_a_first_convolution_computes_no_gradient_to_the_image_unless_asked():
    x, w, *_ = operands((1, 19, 19, 2), (11, 11, 2, 3), jnp.float32)

    def convolutions(argument):
        loss = lambda x, w: cpu_convolution.convolve(x, w, (4, 4), 'VALID').sum()  # noqa: E731
        return str(jax.make_jaxpr(jax.grad(loss, argument))(x, w)).count('conv_general_dilated[')

    assert convolutions(1) == 2  # forward, and the kernel's gradient
    assert convolutions((0, 1)) > 2


def test_winograd_transforms_filter_one_row_exactly():
    for size in (3, 5):
        outputs, kernel, image = winograd.transforms(size)
        rng = np.random.default_rng(size)
        taps, data = rng.normal(size=size), rng.normal(size=image.shape[0])
        expected = [data[start : start + size] @ taps for start in range(outputs.shape[0])]
        np.testing.assert_allclose(outputs @ ((kernel @ taps) * (image @ data)), expected, atol=1e-12)
