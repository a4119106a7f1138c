"""The checks that each function makes first: `apply(params, x) -> logits`, each row a function of its own image."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from alljax.gradients.argument_checks import check_classes, check_images, check_params
from alljax.gradients.typing import Apply, HasApply, Images, Network, Params, Target

Result = TypeVar('Result')
Leaves = tuple[tuple[tuple[int, ...], np.dtype], ...]  # the shape and type of each leaf


def as_apply(network: Network) -> Apply:
    """The function `apply(params, x)` of a network, which may also be that function itself."""
    # asked once, and the same object each time: what is compiled is kept by the identity of this function
    return network.apply if isinstance(network, HasApply) else network


def prepare(
    function: str, network: Network, params: Params, x: Images, target: Target, name: str = 'target'
) -> tuple[Apply, Int[Array, ' batch']]:
    """The network's function and a class for each image, after all checks; `function` asks for them, and is told.

    Errors as of `classes`; ValueError for a target of another length or type, or a class that the network has not.
    """
    apply = as_apply(network)
    count = classes(function, apply, params, x)
    check_classes(function, target, len(x), count, name)
    return apply, jnp.broadcast_to(jnp.asarray(target, jnp.int32), (len(x),))


def classes(function: str, apply: Apply, params: Params, x: Images) -> int:
    """The number of logits, after a check that `apply` keeps to the convention.

    ValueError where it returns something else, runs dropout or batch normalization in training mode, or mixes the
    images of a batch in another way, and for images or parameters that are not finite; TypeError for images that are
    not floats. `apply` is looked at once for the shapes of its arguments.
    """
    check_images(function, x)
    check_params(function, params)
    return _checked_classes(apply, *signature(params), x.shape, x.dtype)


def signature(params: Params) -> tuple[jax.tree_util.PyTreeDef, Leaves]:
    """The structure of a tree, and the shapes and types of its leaves: a key for what depends on nothing else."""
    leaves, tree = jax.tree.flatten(params)
    return tree, tuple((jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves)


def from_signature(tree: jax.tree_util.PyTreeDef, leaves: Leaves) -> Params:
    """A tree without values, of a `signature`."""
    return jax.tree.unflatten(tree, [jax.ShapeDtypeStruct(*leaf) for leaf in leaves])


def picked(scores: Float[Array, 'batch classes'], wanted: Int[Array, ' batch']) -> Float[Array, ' batch']:
    """Each image's score of its own class."""
    return jnp.take_along_axis(scores, wanted[:, None], 1)[:, 0]


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

    with nn.intercept_methods(check):
        return function(*arguments), bool(called)


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
    if not isinstance(logits, jax.ShapeDtypeStruct) or len(logits.shape) != 2 or logits.shape[0] != shape[0]:
        found = getattr(logits, 'shape', None) or type(logits).__name__
        raise ValueError(f'apply(params, x) returned {found} for {shape[0]} images; expected logits [batch, classes]')
    if not linen[0]:
        _refuse_mixing(apply, params, shape, dtype)
    return int(logits.shape[1])


def _refuse_mixing(apply: Apply, params: Params, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """ValueError if an image's logits change with its neighbor: read off linen's modules above, here found by trial.

    The parameters are drawn, because those of the user may be abstract here.
    """
    rng = np.random.default_rng(0)

    def draw(leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        fan = np.prod(leaf.shape[:-1]) if len(leaf.shape) > 1 else 1
        return np.asarray(np.abs(rng.normal(size=leaf.shape) / np.sqrt(fan)), leaf.dtype)  # a variance is positive

    drawn = jax.tree.map(draw, params)
    image = rng.normal(size=(3, *shape[1:])).astype(dtype)
    with jax.ensure_compile_time_eval():
        one, other = (np.asarray(apply(drawn, jnp.asarray(image[[0, beside]]))[0]) for beside in (1, 2))
    if np.isfinite(one).all() and not np.allclose(one, other, rtol=1e-3, atol=1e-6):
        raise ValueError(
            'the logits of an image change with the other images of its batch: the network is in training mode, or '
            'normalizes over the batch; use running statistics'
        )
