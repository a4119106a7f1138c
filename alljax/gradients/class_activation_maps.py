"""Which positions of a layer's map a logit depends on: Grad-CAM and its relatives."""

from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from alljax.gradients import batching, intermediates
from alljax.gradients.network_checks import Images, Params, Target, classes, picked, targets

Map = Float[Array, 'batch rows columns']
KINDS = ('gradcam', 'gradcam++', 'layercam')


def cam(
    model: Any, variables: Params, x: Images, target: Target, *, layer: str,
    kind: Literal['gradcam', 'gradcam++', 'layercam'] = 'gradcam', batch_size: int | None = None,
) -> Map:  # fmt: skip
    """A layer's map, its channels weighted by the gradient of the target's logit, and rectified.

    'gradcam' (Selvaraju et al. 2016, arXiv:1610.02391) weights a channel by its mean gradient, 'gradcam++'
    (Chattopadhay et al. 2017, arXiv:1710.11063) by its positive gradients and their share, 'layercam' (Jiang et al.
    2021, 10.1109/TIP.2021.3089943) each position by its own positive gradient. The map has the layer's rows and
    columns; `resize_map` brings it to the image's. Nothing before the layer is differentiated. `model` and `layer` are
    as in `intermediates.at`; ValueError for a layer whose output is no map.
    """
    if kind not in KINDS:
        raise ValueError(f'kind is {kind!r}; it may be {", ".join(map(repr, KINDS))}')
    apply = getattr(model, 'apply', model)
    wanted = targets(target, x, classes(apply, variables, x))
    return batching.rows(partial(_cam, apply, variables, layer=layer, kind=kind), batch_size, x, wanted)


def resize_map(maps: Map, size: int | tuple[int, int], method: str = 'bilinear') -> Float[Array, 'batch height width']:
    """Maps at the size of the image, in pixels, by interpolation between the centers of their positions."""
    height, width = (size, size) if isinstance(size, int) else size
    return jax.image.resize(maps, (len(maps), height, width), method)


@partial(jax.jit, static_argnames=('apply', 'layer', 'kind'))
def _cam(apply: Any, variables: Params, x: Array, wanted: Int[Array, ' batch'], layer: str, kind: str) -> Map:
    tapped = intermediates.at(apply, layer)
    seen = jax.eval_shape(tapped, variables, x)[1]
    if len(seen.shape) != 4:
        raise ValueError(f'layer {layer!r} gives {seen.shape}: expected a map [batch, rows, columns, channels]')

    def score(push: Array) -> tuple[Array, Array]:
        logits, output = tapped(variables, x, push)
        return picked(logits, wanted).sum(), output

    gradient, output = jax.grad(score, has_aux=True)(jnp.zeros(seen.shape, seen.dtype))
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
