"""Attribution to the positions of a layer's map: Grad-CAM and its relatives."""

from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_counts, check_map
from alljax.gradients.intermediates import eval_layer_shape, with_layer
from alljax.gradients.network_checks import picked, prepare
from alljax.gradients.typing import Apply, Attribution, Images, Network, Params, Target

Map = Float[Array, 'batch rows columns']
KINDS = ('gradcam', 'gradcam++', 'layercam')


def grad_cam(
    apply: Network, params: Params, x: Images, target: Target, *, layer: str,
    kind: Literal['gradcam', 'gradcam++', 'layercam'] = 'gradcam', batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """A layer's map, its channels weighted by the gradient of the target's logit, and rectified.

    'gradcam' (Selvaraju et al. 2016, arXiv:1610.02391) weights a channel by its mean gradient, 'gradcam++'
    (Chattopadhay et al. 2017, arXiv:1710.11063) by its positive gradients and their share, 'layercam' (Jiang et al.
    2021, 10.1109/TIP.2021.3089943) each position by its own positive gradient. The map is [batch, rows, columns] of
    the layer; `resize_map` brings it to the size of the image. Nothing before the layer is differentiated. The layer
    is named as in `layer_output`; ValueError for one that does not exist or whose output is not a map.
    """
    if kind not in KINDS:
        raise ValueError(f'kind is {kind!r}; it may be {", ".join(map(repr, KINDS))}')
    check_counts('grad_cam', batch_size=batch_size)
    function, wanted = prepare('grad_cam', apply, params, x, target)
    of_batch = partial(_grad_cam, function, params, layer=layer, kind=kind)
    return Attribution(batching.rows(of_batch, batch_size, x, wanted))


def resize_map(maps: Map, size: int | tuple[int, int], method: str = 'bilinear') -> Float[Array, 'batch height width']:
    """Maps at the size of the image, in pixels, by interpolation between the centers of their positions."""
    check_map('resize_map', maps, 'maps')
    height, width = (size, size) if isinstance(size, int) else size
    for side in (height, width):
        check_counts('resize_map', size=side)
    resized: Array = jax.image.resize(maps, (len(maps), height, width), method)
    return resized


@partial(jax.jit, static_argnames=('apply', 'layer', 'kind'))
def _grad_cam(apply: Apply, params: Params, x: Array, wanted: Int[Array, ' batch'], layer: str, kind: str) -> Map:
    expected = eval_layer_shape(apply, params, x, layer)
    if len(expected.shape) != 4:
        raise ValueError(f'layer {layer!r} gives {expected.shape}: expected a map [batch, rows, columns, channels]')

    def score(offset: Array) -> tuple[Array, Array]:
        logits, output = with_layer(apply, layer)(params, x, offset)
        return picked(logits, wanted).sum(), output

    gradient, output = jax.grad(score, has_aux=True)(jnp.zeros(expected.shape, expected.dtype))
    if kind == 'gradcam':
        weights = gradient.mean((1, 2), keepdims=True)
    elif kind == 'layercam':
        weights = jax.nn.relu(gradient)
    else:
        # third and second derivatives of exp(logit), as powers of the first: exp's factor cancels
        squared = gradient**2
        below = 2 * squared + output.sum((1, 2), keepdims=True) * gradient**3 + 1e-6
        share = jnp.where(gradient != 0, squared / below, 0)
        weights = (jax.nn.relu(gradient) * share).sum((1, 2), keepdims=True)
    return jax.nn.relu((weights * output).sum(3))
