"""Group normalization in the place of batch normalization (Wu & He 2018, arXiv:1803.08494)."""

import math
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

GROUPS = 32  # at most, of the channels


def use_group_normalization() -> AbstractContextManager[None]:
    """Within it, every batch normalization normalizes each image by itself, over groups of channels.

    Its scale and bias are those of the batch normalization, by the same names; it has no running statistics.
    """

    # linen's own signature of an interceptor
    def intercept(call: Any, args: Any, keywords: dict[str, Any], context: nn.module.InterceptorContext) -> Any:
        layer = context.module
        if not isinstance(layer, nn.BatchNorm) or context.method_name != '__call__':
            return call(*args, **keywords)
        x = args[0]
        shape = (x.shape[-1],)
        y = normalized(x, layer.epsilon)
        y = y * layer.param('scale', layer.scale_init, shape, layer.param_dtype) if layer.use_scale else y
        return y + layer.param('bias', layer.bias_init, shape, layer.param_dtype) if layer.use_bias else y

    return nn.intercept_methods(intercept)


def normalized(x: Float[Array, 'batch ...'], epsilon: float) -> Float[Array, 'batch ...']:
    """Each image less the mean, over the deviation, of each group of channels over all positions.

    There are as many groups as 32 and the number of channels have as greatest common divisor.
    """
    groups = math.gcd(GROUPS, x.shape[-1])
    parts = x.reshape(x.shape[0], -1, groups, x.shape[-1] // groups)
    mean = parts.mean((1, 3), keepdims=True)
    variance = jnp.square(parts - mean).mean((1, 3), keepdims=True)
    found: Float[Array, 'batch ...'] = ((parts - mean) * lax.rsqrt(variance + epsilon)).reshape(x.shape)
    return found
