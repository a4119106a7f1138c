"""The statistics of batch normalizations: held as they are, or estimated anew from unlabelled images."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float

STATISTICS = ('running', 'frozen', 'test_slide', 'test_set')
PRIOR_IMAGES = 8  # that the statistics of training count as, beside those of a few new images


def use_running_statistics(layers: Collection[str]) -> AbstractContextManager[None]:
    """Within it, the batch normalizations at these layers use their running statistics and leave them as they are.

    A layer is a module by its place in the tree of parameters, such as 'layer4_1/norm1'.
    """

    # linen's own signature of an interceptor
    def intercept(call: Any, args: Any, keywords: dict[str, Any], context: nn.module.InterceptorContext) -> Any:
        layer = context.module
        if not isinstance(layer, nn.BatchNorm) or '/'.join(layer.path) not in layers:
            return call(*args, **keywords)
        return _with_running_statistics(layer, call, args, keywords)

    return nn.intercept_methods(intercept)


def share_of_new(images: int) -> float:
    """The share of new images in a statistic: n / (n + 8), so that of a few of them training's remain (`blended`)."""
    return images / (images + PRIOR_IMAGES)


def blended(old: Any, new: Any, share: Any) -> Any:  # numbers or arrays of one shape, of NumPy or JAX
    """Means or variances of training drawn toward those of new images (Schneider et al. 2020, arXiv:2006.16971)."""
    return share * new + (1 - share) * old


def estimate_statistics(present: Bool[Array, ' batch'], share: Float[Array, '']) -> AbstractContextManager[None]:
    """Within it, a call of the network puts the statistics of its images into its batch normalizations.

    They are `blended` with those that are there, and the layer uses them at once, so that the layers after it see what
    they will see later. The call needs `mutable=['batch_stats']`; what it returns of them are the new ones. Images that
    are not `present` only fill up the batch.
    """

    def intercept(call: Any, args: Any, keywords: dict[str, Any], context: nn.module.InterceptorContext) -> Any:
        layer = context.module
        if not isinstance(layer, nn.BatchNorm) or context.method_name != '__call__':
            return call(*args, **keywords)
        x = jnp.asarray(args[0], jnp.float32)
        weight = jnp.broadcast_to(present.reshape(-1, *[1] * (x.ndim - 1)), x.shape).astype(x.dtype)
        axes = tuple(range(x.ndim - 1))
        count = weight.sum(axes)
        mean = (x * weight).sum(axes) / count
        variance = ((x - mean) ** 2 * weight).sum(axes) / count
        for name, new in (('mean', mean), ('var', variance)):
            old: Array = layer.get_variable('batch_stats', name)
            layer.put_variable('batch_stats', name, blended(old, new, share))
        return _with_running_statistics(layer, call, args, keywords)

    return nn.intercept_methods(intercept)


def _with_running_statistics(layer: nn.BatchNorm, call: Any, args: Any, keywords: dict[str, Any]) -> Any:
    """The layer's output under its running statistics, also where a user's network has the mode as a field."""
    if layer.use_running_average is None:
        return call(*args, **{**keywords, 'use_running_average': True})
    if layer.use_running_average:
        return call(*args, **keywords)
    x, shape = args[0], args[0].shape[-1:]
    scale = lax.rsqrt(layer.get_variable('batch_stats', 'var') + layer.epsilon)
    if layer.use_scale:
        scale *= layer.param('scale', layer.scale_init, shape, layer.param_dtype)
    y = (x - layer.get_variable('batch_stats', 'mean')) * scale
    return y + layer.param('bias', layer.bias_init, shape, layer.param_dtype) if layer.use_bias else y
