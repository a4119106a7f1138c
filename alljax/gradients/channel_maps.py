"""Attribution to the positions of a layer by its channels alone: what each of them, shown or hidden, does to the logit.

Without gradients: Score-CAM, Ablation-CAM and Eigen-CAM. And Grad-CAM at the pixels that guided backpropagation marks.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_counts, check_inputs
from alljax.gradients.class_activation_maps import as_map, grad_cam, map_shape, resize_map
from alljax.gradients.gradient_attribution import logits_of
from alljax.gradients.guided_backpropagation import guided_backprop
from alljax.gradients.intermediates import resolve_layer, with_layer
from alljax.gradients.network_checks import picked, prepare
from alljax.gradients.typing import Apply, Attribution, Inputs, Network, Params, Target

Grid = tuple[int, int] | None
TINY = 1e-8  # added to the range of a channel, as in pytorch-grad-cam


def score_cam(
    apply: Network, params: Params, x: Inputs, target: Target, *, layer: str | None = None, grid: Grid = None,
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """A layer's map, each channel weighted by the logit of the image where that channel alone lets it through.

    Score-CAM (Wang et al. 2019, arXiv:1910.01279): a channel is enlarged to the image, scaled to 0 to 1 and multiplied
    with it; the weights are the softmax of the logits over channels, and the sum is rectified. The network is asked
    once for each channel and image, `batch_size` of them at once. Inputs of another rank than that of images are
    refused; layer, grid and map are those of `grad_cam`. Can be jitted.

    >>> gradients.score_cam(model, variables, x, y, layer='stem').map.shape
    (4, 8, 8)
    """
    check_inputs('score_cam', x, images=True)
    check_counts('score_cam', batch_size=batch_size)
    function, wanted, layer = _prepared('score_cam', apply, params, x, target, layer)
    maps = _maps(function, params, x, layer, grid, batch_size)
    of_pairs = partial(_shown, function, params)

    def score(image: np.ndarray, channel: np.ndarray) -> Array:
        logits: Array = of_pairs(batching.take(x, image), maps[image, ..., channel], wanted[image])
        return logits

    scores = batching.pairs(score, len(x), maps.shape[-1], batch_size)
    return Attribution(_weighted(maps, jax.nn.softmax(scores)))


def ablation_cam(
    apply: Network, params: Params, x: Inputs, target: Target, *, layer: str | None = None, grid: Grid = None,
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """A layer's map, each channel weighted by the share of the logit that is lost without it.

    Ablation-CAM (Desai & Ramaswamy 2020, 10.1109/WACV45572.2020.9093360): a channel is set to zero everywhere, and its
    weight is (logit − logit without) / logit; the sum is rectified. The network after the layer is asked once for each
    channel and image, `batch_size` of them at once. Layer, grid and map are those of `grad_cam`; inputs are of any
    rank. Can be jitted.

    >>> gradients.ablation_cam(model, variables, x, y, layer='stem').map.shape
    (4, 8, 8)
    """
    check_counts('ablation_cam', batch_size=batch_size)
    function, wanted, layer = _prepared('ablation_cam', apply, params, x, target, layer)
    maps = _maps(function, params, x, layer, grid, batch_size)

    def score(image: np.ndarray, channel: np.ndarray) -> Array:
        logits: Array = _without(function, params, batching.take(x, image), wanted[image], jnp.asarray(channel), layer)
        return logits

    without = batching.pairs(score, len(x), maps.shape[-1], batch_size)
    whole = batching.rows(partial(logits_of, function, params), batch_size, x, wanted)
    return Attribution(_weighted(maps, (whole[:, None] - without) / whole[:, None]))


def eigen_cam(
    apply: Network, params: Params, x: Inputs, target: Target = None, *, layer: str | None = None, grid: Grid = None,
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """A layer's map along the direction in which its positions differ most, rectified.

    Eigen-CAM (Muhammad & Yeasin 2020, arXiv:2008.00299): the first principal component of the channels, over the
    positions of one image, centered as pytorch-grad-cam does. A direction has no sign: here it points to where the
    channels are larger in the mean. It is the same for every class, so `target` may be left out. Layer, grid and map
    are those of `grad_cam`; inputs are of any rank. Can be jitted.

    >>> gradients.eigen_cam(model, variables, x, layer='stem').map.shape
    (4, 8, 8)
    """
    asked = 0 if target is None else target
    check_counts('eigen_cam', batch_size=batch_size)
    function, _, layer = _prepared('eigen_cam', apply, params, x, asked, layer)
    return Attribution(_first_component(_maps(function, params, x, layer, grid, batch_size)))


def guided_grad_cam(
    apply: Network, params: Params, x: Inputs, target: Target, *, layer: str | None = None, grid: Grid = None,
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """Guided backpropagation times Grad-CAM at the size of the image (Selvaraju et al. 2016, arXiv:1610.02391).

    The map is [batch, height, width, channels]: the edges that guided backpropagation marks, where the layer speaks for
    the class. Enlarged as `resize_map` does it. Inputs of another rank than that of images are refused; layer and grid
    are those of `grad_cam`. Can be jitted.

    >>> gradients.guided_grad_cam(model, variables, x, y, layer='stem').map.shape
    (4, 8, 8, 3)
    """
    check_inputs('guided_grad_cam', x, images=True)
    check_counts('guided_grad_cam', batch_size=batch_size)
    _prepared('guided_grad_cam', apply, params, x, target, layer)
    coarse = grad_cam(apply, params, x, target, layer=layer, grid=grid, batch_size=batch_size).map
    guided = guided_backprop(apply, params, x, target, batch_size=batch_size).map
    return Attribution(guided * resize_map(coarse, (x.shape[1], x.shape[2]))[..., None])


def _prepared(
    name: str, apply: Network, params: Params, x: Inputs, target: Target, layer: str | None
) -> tuple[Apply, Int[Array, ' batch'], str]:
    function, wanted = prepare(name, apply, params, x, target, tokens=True)
    return function, wanted, resolve_layer(name, function, layer)


def _maps(
    apply: Apply, params: Params, x: Inputs, layer: str, grid: Grid, batch_size: int | None
) -> Float[Array, 'batch ... channels']:
    found: Array = batching.rows(partial(_map, apply, params, layer=layer, grid=grid), batch_size, x)
    return found


@partial(jax.jit, static_argnames=('apply', 'layer', 'grid'))
def _map(apply: Apply, params: Params, x: Array, layer: str, grid: Grid) -> Float[Array, 'batch ... channels']:
    return as_map(with_layer(apply, layer)(params, x).layer, map_shape(apply, params, x, layer, grid))


@partial(jax.jit, static_argnums=0)
def _shown(
    apply: Apply, params: Params, x: Array, channel: Float[Array, 'batch rows columns'], wanted: Int[Array, ' batch']
) -> Float[Array, ' batch']:
    """The logit of each image as far as a channel of its own shows it."""
    large = jax.image.resize(channel, x.shape[:3], 'bilinear')
    least, most = (function(large, (1, 2), keepdims=True) for function in (jnp.min, jnp.max))
    return picked(apply(params, x * ((large - least) / (most - least + TINY))[..., None]), wanted)


@partial(jax.jit, static_argnames=('apply', 'layer'))
def _without(
    apply: Apply, params: Params, x: Array, wanted: Int[Array, ' batch'], channel: Int[Array, ' batch'], layer: str
) -> Float[Array, ' batch']:
    """The logit of each input where one channel of the layer is zero."""
    call = with_layer(apply, layer)
    output = call(params, x).layer
    gone = jnp.arange(output.shape[-1]) == channel.reshape(-1, *[1] * (output.ndim - 1))
    return picked(call(params, x, value=jnp.where(gone, 0, output)).logits, wanted)


@jax.jit
def _weighted(maps: Float[Array, 'batch ... channels'], weights: Float[Array, 'batch channels']) -> Array:
    spread = weights.reshape(len(weights), *[1] * (maps.ndim - 2), -1)
    return jax.nn.relu((maps * spread).sum(-1))


@jax.jit
def _first_component(maps: Float[Array, 'batch ... channels']) -> Float[Array, 'batch ...']:
    flat = maps.reshape(len(maps), -1, maps.shape[-1])
    flat = flat - flat.mean(1, keepdims=True)
    direction = jnp.linalg.svd(flat, full_matrices=False)[2][:, 0]
    along = jnp.einsum('npc,nc->np', flat, direction)
    sign = jnp.where((along * flat.mean(-1)).sum(1, keepdims=True) < 0, -1, 1)
    return jax.nn.relu((along * sign).reshape(maps.shape[:-1]))
