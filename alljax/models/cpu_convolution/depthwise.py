"""Depthwise convolution for CPUs: one filter for each channel, as a sum over its taps.

XLA:CPU convolves each channel for itself: 101 ms for MobileNet v2's 144 channels of 56×56 (batch 8, two cores) and 323
with the gradients. A sum of nine shifted images, each times a vector, is one loop over memory and takes 3 ms.

Its automatic gradient is slow again (160 ms), so the two bilinear maps below, the convolution and the gradient
to its kernel, are primitives that know each other as transposes. That makes every derivative of any order one of them.
"""

from collections.abc import Sequence
from functools import reduce
from itertools import product
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array

PRODUCTS = 2**18  # numbers that one step of the kernel's gradient holds: 1 MB in float32, a core's cache


class Geometry(NamedTuple):
    """The way of a filter, for rows and columns each; the padding may be negative, as a transpose's can be."""

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]  # of the image
    kernel: tuple[int, ...]

    def outputs(self, size: Sequence[int]) -> tuple[int, ...]:
        """Rows and columns that come out of an image of `size`."""
        padded = [(n - 1) * d + 1 + sum(p) for n, d, p in zip(size, self.dilation, self.padding, strict=True)]
        return tuple((n - k) // s + 1 for n, k, s in zip(padded, self.kernel, self.strides, strict=True))

    def transposed(self, size: Sequence[int]) -> 'Geometry':
        """The geometry of the gradient to an image of `size`: strides become its dilation, and the other way round."""
        before = [k - 1 - low for k, (low, _) in zip(self.kernel, self.padding, strict=True)]
        spread = [(n - 1) * s + 1 for n, s in zip(self.outputs(size), self.strides, strict=True)]
        reached = [(n - 1) * d + k for n, d, k in zip(size, self.dilation, self.kernel, strict=True)]
        padding = tuple((low, to - low - of) for low, of, to in zip(before, spread, reached, strict=True))
        return Geometry(self.dilation, padding, self.strides, self.kernel)


def convolve(image: Array, kernel: Array, strides: Sequence[int], padding: Sequence[tuple[int, int]]) -> Array:
    """One filter of `kernel` (rows, columns, 1, channels) for each channel of `image`; of two floats of one type."""
    geometry = Geometry(tuple(strides), tuple((low, high) for low, high in padding), (1, 1), kernel.shape[:2])
    output: Array = _filter.bind(image, kernel[:, :, 0], geometry=geometry)
    return output


def _prepared(image: Array, geometry: Geometry) -> Array:
    """The image with what its geometry puts around and between its pixels."""
    inner = [(*around, d - 1) for around, d in zip(geometry.padding, geometry.dilation, strict=True)]
    return lax.pad(image, jnp.zeros((), image.dtype), [(0, 0, 0), *inner, (0, 0, 0)])


def _filtered(image: Array, kernel: Array, *, geometry: Geometry) -> Array:
    (rows, columns), (down, across) = geometry.outputs(image.shape[1:3]), geometry.strides
    image = _prepared(image, geometry)
    last = (rows - 1) * down + 1, (columns - 1) * across + 1
    taps = product(*map(range, geometry.kernel))
    return reduce(jnp.add, [image[:, i : i + last[0] : down, j : j + last[1] : across] * kernel[i, j] for i, j in taps])


def _correlated(image: Array, output: Array, *, geometry: Geometry) -> Array:
    """The gradient to the kernel: for each tap, the sum of the shifted image times `output`.

    Loops over bands of rows and over the taps, because XLA:CPU fuses the taps written out into one loop of scalars (90
    ms of processor time against 12, for the layer above), and a band's products stay in the cache (30 ms without). A
    matrix product with ones is its fastest sum.
    """
    batch, rows, columns, channels = output.shape
    (down, across), (high, wide) = geometry.strides, geometry.kernel
    image = _prepared(image, geometry)
    fits = max(1, PRODUCTS // (batch * columns * channels))
    band = max(n for n in range(1, rows + 1) if rows % n == 0 and n <= fits)
    taps = jnp.indices((high, wide)).reshape(2, -1).T

    def of_band(total: Array, start: Array) -> tuple[Array, None]:
        grad = lax.dynamic_slice_in_dim(output, start, band, axis=1)
        seen = lax.dynamic_slice_in_dim(image, start * down, (band - 1) * down + high, axis=1)
        size = (batch, (band - 1) * down + 1, (columns - 1) * across + 1, channels)

        def of_tap(tap: Array) -> Array:
            moved = lax.dynamic_slice(seen, (0, *tap, 0), size)[:, ::down, ::across]
            products = (moved * grad).reshape(-1, channels)
            return jnp.ones(products.shape[0], products.dtype) @ products

        return total + lax.map(of_tap, taps), None

    total = jnp.zeros((high * wide, channels), output.dtype)
    return lax.scan(of_band, total, jnp.arange(0, rows, band))[0].reshape(high, wide, channels)


def _primitive(name: str, function: Any, shape: Any) -> Primitive:
    """A primitive that is `function` wherever it is computed; batched along its channels, which never mix."""
    primitive = Primitive(f'depthwise_{name}')
    primitive.def_impl(jax.jit(function, static_argnames='geometry'))
    primitive.def_abstract_eval(
        lambda a, b, *, geometry: jax.core.ShapedArray(shape(a.shape, b.shape, geometry), a.dtype)
    )
    mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))

    def batch(operands: Sequence[Array], axes: Sequence[int | None], *, geometry: Geometry) -> tuple[Array, int]:
        size = next(x.shape[axis] for x, axis in zip(operands, axes, strict=True) if axis is not None)
        merged = []
        for x, axis in zip(operands, axes, strict=True):
            x = jnp.broadcast_to(x[..., None, :], (*x.shape[:-1], size, x.shape[-1])) if axis is None else x
            x = x if axis is None else jnp.moveaxis(x, axis, -2)
            merged.append(x.reshape(*x.shape[:-2], -1))
        y = primitive.bind(*merged, geometry=geometry)
        return y.reshape(*y.shape[:-1], size, -1), y.ndim - 1

    batching.primitive_batchers[primitive] = batch
    return primitive


_filter = _primitive('filter', _filtered, lambda a, b, of: (a[0], *of.outputs(a[1:3]), a[3]))
_correlate = _primitive('correlate', _correlated, lambda a, b, of: (*of.kernel, a[3]))


def _to_image(output: Array, kernel: Array, image: Any, geometry: Geometry) -> Array:
    found: Array = _filter.bind(output, kernel[::-1, ::-1], geometry=geometry.transposed(image.aval.shape[1:3]))
    return found


# Each rule has the cotangent first, then the two operands, of which the wanted one only has a shape.
ad.defbilinear(
    _filter,
    lambda output, image, kernel, *, geometry: _to_image(output, kernel, image, geometry),
    lambda output, image, kernel, *, geometry: _correlate.bind(image, output, geometry=geometry),
)
ad.defbilinear(
    _correlate,
    lambda kernel, image, output, *, geometry: _to_image(output, kernel, image, geometry),
    lambda kernel, image, output, *, geometry: _filter.bind(image, kernel, geometry=geometry),
)
