"""The output of a layer of a linen network, seen and pushed: how a logit depends on what happens inside."""

import difflib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from jaxtyping import Array, Float

from alljax.gradients.network_checks import Images, Params

Tapped = tuple[Array, Float[Array, 'batch ...']]  # logits, and what the layer gives


def at(model: Any, layer: str) -> Callable[..., Tapped]:
    """`f(variables, x, push=None) -> (logits, output)` of the layer, to whose output `push` is added before it goes on.

    `model` is a linen module, anything with its `apply`, or that function. A layer is a module by its place in the tree
    of parameters, such as 'layer4_1' or 'layer4_1/conv2'. Under `jit` what does not lead to the result is not
    computed. ValueError for a layer that there is not; of one that is called more than once, the last call counts.
    """
    apply = getattr(model, 'apply', model)

    def tapped(variables: Params, x: Array, push: Array | None = None) -> Tapped:
        seen: list[Array] = []
        names: list[str] = []

        def watch(call: Any, args: Any, keywords: dict[str, Any], context: nn.module.InterceptorContext) -> Any:
            output = call(*args, **keywords)
            name = '/'.join(context.module.path)
            names.append(name)
            if name != layer or context.method_name != '__call__':
                return output
            seen.append(output)
            return output if push is None else output + push

        with nn.intercept_methods(watch):
            logits = apply(variables, x)
        if not seen:
            known = [name for name in dict.fromkeys(names) if name]
            near = difflib.get_close_matches(layer, known, 1)
            raise ValueError(
                f'there is no layer {layer!r}' + (f', did you mean {near[0]!r}?' if near else '')
                + f' The layers are {", ".join(known) or "unknown: the network calls no linen module"}'
            )  # fmt: skip
        return logits, seen[-1]

    return tapped


def shape(model: Any, variables: Params, x: Images, layer: str) -> tuple[int, ...]:
    """The shape of what the layer gives for `x`; ValueError as of `at`."""
    return jax.eval_shape(at(model, layer), variables, x)[1].shape
