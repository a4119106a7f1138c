"""The checks that each function makes first: `apply(params, x) -> logits`, each row a function of its own input."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, TypeVar

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from alljax.gradients.argument_checks import check_class_shape, check_classes, check_inputs, known
from alljax.gradients.parameter_checks import check_params
from alljax.gradients.typing import Apply, HasApply, Inputs, Network, Params, Score, Target

Result = TypeVar('Result')
Leaves = tuple[tuple[tuple[int, ...], Any], ...]  # the shape and type of each leaf, which may be that of keys


def as_apply(network: Network) -> Apply:
    """The function `apply(params, x)` of a network, which may also be that function itself."""
    # asked once, and the same object each time: what is compiled is kept by the identity of this function
    function: Apply = network.apply if isinstance(network, HasApply) else network
    return function


def prepare(
    function: str, network: Network, params: Params, x: Inputs, target: Target, name: str = 'target', *,
    tokens: bool = False,
) -> tuple[Apply, Int[Array, ' batch']]:  # fmt: skip
    """The network's function and a class for each input, after all checks; `function` asks for them, and is told.

    Errors as of `classes`; ValueError for a target of another length or type, or a class that the network has not.
    """
    apply = as_apply(network)
    check_inputs(function, x, tokens=tokens)
    check_class_shape(function, target, len(x), name)
    count = classes(function, apply, params, x, tokens=tokens)
    check_classes(function, target, len(x), count, name)
    return apply, jnp.broadcast_to(jnp.asarray(0 if target is None else target, jnp.int32), (len(x),))


def classes(function: str, apply: Apply, params: Params, x: Inputs, *, tokens: bool = False) -> int:
    """The number of outputs for an input, after a check that `apply` keeps to the convention.

    ValueError where it returns something else, runs dropout or batch normalization in training mode, or mixes the
    inputs of a batch in another way, and for inputs or parameters that are not finite; TypeError for inputs that are
    not floats, nor `tokens` where those are taken. `apply` is looked at once for the shapes of its arguments.
    """
    check_inputs(function, x, tokens=tokens)
    check_params(function, params)
    return _checked_classes(apply, *signature(params), x.shape, x.dtype)


def signature(params: Params) -> tuple[jax.tree_util.PyTreeDef, Leaves]:
    """The structure of a tree, and the shapes and types of its leaves: a key for what depends on nothing else."""
    leaves, tree = jax.tree.flatten(params)
    return tree, tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)


def from_signature(tree: jax.tree_util.PyTreeDef, leaves: Leaves) -> Params:
    """A tree without values, of a `signature`."""
    return jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])


def picked(scores: Float[Array, 'batch ...'], wanted: Int[Array, ' batch']) -> Float[Array, ' batch']:
    """Each input's score of its own class; of a network of one output [batch], that output."""
    return jnp.take_along_axis(scores, wanted[:, None], 1)[:, 0] if scores.ndim > 1 else scores


def scored(
    logits: Float[Array, 'batch ...'], wanted: Int[Array, ' batch'], score: Score
) -> Float[Array, ' batch']:  # fmt: skip
    """The probability of each input's own class; its output, if asked for or if it is the only one."""
    several = logits.ndim > 1 and logits.shape[1] > 1
    return picked(jax.nn.softmax(logits) if several and score == 'probability' else logits, wanted)


def evaluation_only(function: Callable[..., Result], *arguments: Any) -> tuple[Result, bool]:
    """`function(*arguments)`, and True if it called any linen module; ValueError where one of them is training."""
    called = []

    def check(call: Any, args: Any, keywords: dict[str, Any], context: nn.module.InterceptorContext) -> Any:
        called.append(context.method_name)
        module = context.module
        if context.method_name == '__call__' and _trains(module, args, keywords):
            name = '/'.join(module.path) or type(module).__name__
            raise ValueError(
                f'{name} is in training mode, where the logits of an image depend on chance or on the other images; '
                'call the network with train=False and without `mutable`'
            )
        return call(*args, **keywords)

    try:
        with nn.intercept_methods(check):
            return function(*arguments), bool(called)
    except flax.errors.TraceContextError:
        raise ValueError(
            'the network changes its own variables when it is called, as a NNX module in training mode does (dropout, '
            'batch normalization); call its eval() before nnx.split, and nnx.merge within apply(params, x)'
        ) from None


def _trains(module: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
    if isinstance(module, nn.BatchNorm):
        given = keywords.get('use_running_average', args[1] if len(args) > 1 else None)
        return not (module.use_running_average if given is None else given)
    if isinstance(module, nn.Dropout) and module.rate > 0:
        given = keywords.get('deterministic', args[1] if len(args) > 1 else None)
        return not (module.deterministic if given is None else given)
    return False


@lru_cache(maxsize=128)
def _checked_classes(
    apply: Apply, tree: jax.tree_util.PyTreeDef, leaves: Leaves, shape: tuple[int, ...], dtype: np.dtype
) -> int:
    params = from_signature(tree, leaves)
    linen = []

    def traced(params: Params, x: Array) -> Any:
        logits, called = evaluation_only(apply, params, x)
        linen.append(called)
        return logits

    logits = jax.eval_shape(traced, params, jax.ShapeDtypeStruct(shape, dtype))
    sound = isinstance(logits, jax.ShapeDtypeStruct) and len(logits.shape) in (1, 2) and logits.shape[0] == shape[0]
    if not sound:
        found = getattr(logits, 'shape', None) or type(logits).__name__
        hint = '; of several outputs give one: lambda params, x: apply(params, x)[0]' if found == 'tuple' else ''
        raise ValueError(
            f'apply(params, x) returned {found} for {shape[0]} images; expected logits [batch, classes], or one output '
            f'[batch]{hint}'
        )
    if not linen[0]:
        _refuse_mixing(apply, params, shape, dtype)
    return int(logits.shape[1]) if len(logits.shape) == 2 else 1


def _refuse_mixing(apply: Apply, params: Params, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """ValueError if an input's logits change with its neighbor or its place: read off linen's modules above.

    Here it is found by trial. The parameters are drawn, because those of the user may be abstract here.
    """
    rng = np.random.default_rng(0)

    def draw(leaf: jax.ShapeDtypeStruct) -> Any:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.extended):  # the keys of dropout that is off
            return jnp.broadcast_to(jax.random.key(0), leaf.shape)
        fan = np.prod(leaf.shape[:-1]) if len(leaf.shape) > 1 else 1
        return np.asarray(np.abs(rng.normal(size=leaf.shape) / np.sqrt(fan)), leaf.dtype)  # a variance is positive

    inputs = np.abs(rng.normal(size=(3, *shape[1:])) * 2).astype(dtype)  # integers: the first tokens
    with nullcontext() if known(jnp.zeros(())) else jax.ensure_compile_time_eval():  # within jit a zero is traced too
        drawn = jax.tree.map(draw, params)
        found = [apply(drawn, jnp.asarray(inputs[list(rows)])) for rows in ((0, 1), (0, 2), (1, 0))]
    if any(isinstance(logits, jax.core.Tracer) for logits in found):
        return  # it closes over what is traced
    one, other, moved = (np.asarray(logits)[row] for logits, row in zip(found, (0, 0, 1), strict=True))
    same = [np.allclose(one, two, rtol=1e-3, atol=1e-6) for two in (other, moved)]
    if np.isfinite(one).all() and not all(same):
        beside = 'place in the batch' if same[0] else 'other images of its batch'
        raise ValueError(
            f'the logits of an image change with the {beside}: the network is in training mode, or normalizes over the '
            'batch; use running statistics, and no dropout'
        )
