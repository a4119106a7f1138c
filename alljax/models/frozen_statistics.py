"""Batch statistics that stay as they are while other layers are trained."""

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn


def use_running_statistics(layers: Collection[str]) -> AbstractContextManager[None]:
    """Within it, the batch normalizations at these layers use their running statistics and leave them as they are.

    A layer is a module by its place in the tree of parameters, such as 'layer4_1/norm1'.
    """

    # linen's own signature of an interceptor
    def intercept(call: Any, args: Any, keywords: dict[str, Any], context: nn.module.InterceptorContext) -> Any:
        if isinstance(context.module, nn.BatchNorm) and '/'.join(context.module.path) in layers:
            keywords = {**keywords, 'use_running_average': True}
        return call(*args, **keywords)

    return nn.intercept_methods(intercept)
