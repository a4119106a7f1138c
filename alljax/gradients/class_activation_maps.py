"""Attribution to the positions of a layer's map: Grad-CAM and its relatives."""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_counts, check_map
from alljax.gradients.intermediates import eval_layer_shape, layer_gradient, resolve_layer
from alljax.gradients.network_checks import prepare
from alljax.gradients.token_grid import grid_of, patches_on_grid
from alljax.gradients.typing import Apply, Attribution, Inputs, Network, Params, Target

Map = Float[Array, 'batch rows columns']
KINDS = ('gradcam', 'gradcam++', 'layercam', 'hirescam')


class Chosen(NamedTuple):
    """The layer whose map is weighted, how, and the rows and columns of its tokens, if they are given."""

    layer: str
    kind: str
    grid: tuple[int, int] | None


def grad_cam(
    apply: Network, params: Params, x: Inputs, target: Target, *, layer: str | None = None,
    kind: Literal['gradcam', 'gradcam++', 'layercam', 'hirescam'] = 'gradcam', grid: tuple[int, int] | None = None,
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """A layer's map, its channels weighted by the gradient of the target's logit, and rectified.

    'gradcam' (Selvaraju et al. 2016, arXiv:1610.02391) weights a channel by its mean gradient, 'gradcam++'
    (Chattopadhay et al. 2017, arXiv:1710.11063) by its positive gradients and their share, 'layercam' (Jiang et al.
    2021, 10.1109/TIP.2021.3089943) each position by its own positive gradient, 'hirescam' (Draelos & Carin 2020,
    arXiv:2011.08891) by its own gradient of either sign. The map is [batch, rows, columns] of the layer; `resize_map`
    brings it to the size of the image. Nothing before the layer is differentiated. The layer is named as in
    `layer_output`, and need not be named in a `SplitNetwork`, which a network of any library can be.

    Of a layer of tokens [batch, tokens, channels] the class token and registers, which come first, are left out; rows
    and columns are `grid`, by default the largest grid of the image's proportions. Inputs of another rank keep the
    layer's own positions: [batch, tokens] of a text. Can be jitted. ValueError for a layer that does not exist or whose
    output is not a map.

    >>> gradients.grad_cam(model, variables, x, y, layer='stem').map.shape
    (4, 8, 8)
    """
    if kind not in KINDS:
        raise ValueError(f'kind is {kind!r}; it may be {", ".join(map(repr, KINDS))}')
    check_counts('grad_cam', batch_size=batch_size)
    function, wanted = prepare('grad_cam', apply, params, x, target, tokens=True)
    layer = resolve_layer('grad_cam', function, layer)
    of_batch = partial(_grad_cam, function, params, chosen=Chosen(layer, kind, grid))
    return Attribution(batching.rows(of_batch, batch_size, x, wanted))


def resize_map(maps: Map, size: int | tuple[int, int], method: str = 'bilinear') -> Float[Array, 'batch height width']:
    """Maps at the size of the image, in pixels, by interpolation between the centers of their positions.

    Maps are those of images, [batch, rows, columns]. Can be jitted, with `size` closed over.

    >>> gradients.resize_map(jnp.ones((4, 2, 2)), 8).shape
    (4, 8, 8)
    """
    check_map('resize_map', maps, 'maps')
    height, width = (size, size) if isinstance(size, int) else size
    for side in (height, width):
        check_counts('resize_map', size=side)
    resized: Array = jax.image.resize(maps, (len(maps), height, width), method)
    return resized


def map_shape(
    apply: Apply, params: Params, x: Inputs, layer: str, grid: tuple[int, int] | None = None
) -> tuple[int, ...]:
    """The shape [batch, *positions, channels] of a layer's map, tokens of images in rows and columns.

    ValueError for a layer whose output has no positions.
    """
    shape = tuple(eval_layer_shape(apply, params, x, layer).shape)
    of_images = len(x.shape) == 4
    if len(shape) < 3 or (of_images and len(shape) not in (3, 4)):
        raise ValueError(f'layer {layer!r} gives {shape}: expected a map [batch, rows, columns, channels], or tokens')
    if not of_images or len(shape) == 4:
        return shape
    return (shape[0], *grid_of(shape[1], (x.shape[1], x.shape[2]), grid), shape[2])


def as_map(output: Float[Array, 'batch ...'], shape: tuple[int, ...]) -> Float[Array, 'batch ...']:
    """A layer's output, or a gradient to it, in the shape of `map_shape`."""
    return output if output.ndim == len(shape) else patches_on_grid(output, (shape[1], shape[2]))


@partial(jax.jit, static_argnames=('apply', 'chosen'))
def _grad_cam(
    apply: Apply, params: Params, x: Array, wanted: Int[Array, ' batch'], chosen: Chosen
) -> Float[Array, 'batch ...']:
    layer, kind, grid = chosen
    shape = map_shape(apply, params, x, layer, grid)
    gradient, output = (as_map(part, shape) for part in layer_gradient(apply, params, x, wanted, layer))
    positions = tuple(range(1, len(shape) - 1))
    if kind == 'gradcam':
        weights = gradient.mean(positions, keepdims=True)
    elif kind == 'layercam':
        weights = jax.nn.relu(gradient)
    elif kind == 'hirescam':
        weights = gradient
    else:
        # third and second derivatives of exp(logit), as powers of the first: exp's factor cancels
        squared = gradient**2
        below = 2 * squared + output.sum(positions, keepdims=True) * gradient**3 + 1e-6
        share = jnp.where(gradient != 0, squared / below, 0)
        weights = (jax.nn.relu(gradient) * share).sum(positions, keepdims=True)
    return jax.nn.relu((weights * output).sum(-1))
