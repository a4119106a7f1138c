"""The gradients of single examples, their norms, and the mean gradient of each class."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from alljax.gradients import batching, factored_gradients
from alljax.gradients.argument_checks import ArgumentTypeError, check_counts, check_examples, known
from alljax.gradients.named_parameters import named, wide, with_leaves
from alljax.gradients.network_checks import Leaves, evaluation_only, from_signature, signature
from alljax.gradients.parameter_checks import check_params, check_trained, require_leaves
from alljax.gradients.typing import Loss, Params, Rows

# A function's result is a tree of its own choosing, and so is what is given back: hence Any.
Reduce = Literal['norm', 'squared'] | Callable[[Params], Any] | None


def per_example_gradients(
    loss: Loss, params: Params, x: Rows, y: Rows, *, reduce: Reduce = None, batch_size: int | None = None
) -> Any:
    """The gradient of each example's loss: a tree with a first axis [N], or what `reduce` makes of each.

    `loss(params, x, y)` gives a loss for each image of a batch [N]; one number for a batch will do. 'norm' and
    'squared' are those of all parameters together, [N]; of linen's layers they are found without the gradients, if
    `loss` gives [N]. A function gets the tree of one example's gradient. Examples are of any rank. Can be jitted.
    ValueError for a network in training mode.

    >>> gradients.per_example_gradients(loss, params, x, y, reduce='norm').shape
    (4,)
    """
    if not (reduce is None or callable(reduce) or reduce in ('norm', 'squared')):
        raise ValueError(f"reduce is {reduce!r}; it may be None, 'norm', 'squared' or a function of a gradient")
    check_loss('per_example_gradients', loss, params, x, y, batch_size)
    if isinstance(reduce, str):
        squares = batching.rows(partial(_squared_norms, loss, params), batch_size, x, y)
        return jnp.sqrt(squares) if reduce == 'norm' else squares
    return batching.rows(partial(_each, loss, params, reduce=reduce), batch_size, x, y)


def class_gradients(
    loss: Loss, params: Params, x: Rows, y: Rows, *, classes: int = 0, batch_size: int | None = None
) -> Params:
    """The mean gradient of each class's examples: a tree with a first axis [G]; zeros for a class without any.

    `loss` is as in `per_example_gradients`; `classes` is by default one more than the largest label. Examples are of
    any rank. Can be jitted if `classes` are given, and then costs a pass for each class where labels are traced.
    ValueError for a label outside the classes.

    >>> means = gradients.class_gradients(loss, params, x, y, classes=3)
    >>> {len(leaf) for leaf in jax.tree.leaves(means)}
    {3}
    """
    check_examples('class_gradients', x, y)
    if not jnp.issubdtype(y.dtype, jnp.integer) or y.ndim != 1:
        raise ArgumentTypeError(
            f'class_gradients: y is {y.dtype} of shape {y.shape}; expected the class of each example as integers, '
            'from 0'
        )
    check_counts('class_gradients', classes=classes or None)
    check_loss('class_gradients', loss, params, x, y, batch_size)
    if not known(y):
        return _of_traced_classes(loss, params, x, y, classes, batch_size)
    labels = np.asarray(y)
    count = classes or int(labels.max()) + 1
    if labels.max() >= count:
        raise ValueError(
            f'class_gradients: y: the labels go from {labels.min()} to {labels.max()}: expected 0 to {count - 1}'
        )
    size = len(next(batching.chunks(len(labels), batch_size))[0])

    def mean(rows: Int[np.ndarray, ' chosen']) -> Params:
        total = jax.tree.map(jnp.zeros_like, params)
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            index = np.resize(chosen, size)  # one shape for all classes
            present = jnp.arange(size) < len(chosen)
            part = _sum(loss, params, batching.take(x, index), batching.take(y, index), present)
            total = jax.tree.map(jnp.add, total, part)
        return jax.tree.map(lambda leaf: leaf / max(len(rows), 1), total)

    means = [mean(np.flatnonzero(labels == wanted)) for wanted in range(count)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *means)


def _of_traced_classes(loss: Loss, params: Params, x: Rows, y: Rows, classes: int, batch_size: int | None) -> Params:
    if not classes:
        raise ArgumentTypeError(
            'class_gradients: y is traced, so nobody knows how many classes there are; give classes'
        )

    def mean(wanted: int) -> Params:
        def of_batch(x: Array, y: Array, present: Array) -> Params:
            return _sum(loss, params, x, y, present & (y == wanted))

        count = jnp.maximum(jnp.sum(y == wanted), 1)
        return jax.tree.map(lambda leaf: leaf / count, batching.total(of_batch, batch_size, x, y))

    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(mean, range(classes)))


def check_loss(
    function: str, loss: Loss, params: Params, x: Any, y: Any, batch_size: int | None, *, of_curvature: bool = False
) -> None:  # fmt: skip
    """The checks of what the gradients of a loss are asked of.

    ValueError for a loss of which no example has one of its own, for a network in training mode, and for examples and
    parameters as of `check_examples` and `check_trained`. `of_curvature`, it has to give a loss for each example, and
    not all parameters need vary.
    """
    check_counts(function, batch_size=batch_size)
    check_examples(function, x, y)
    check_params(function, params)
    require_leaves(function, params)
    two = [jax.ShapeDtypeStruct((2, *part.shape[1:]), jnp.result_type(part)) for part in (x, y)]
    shape = _checked_loss(function, loss, *signature((params, *two)))
    if of_curvature and not shape:
        raise ValueError(f'{function}: loss gives one number for 2 examples; expected a loss for each')
    if not of_curvature:
        check_trained(function, params)


@lru_cache(maxsize=128)
def _checked_loss(function: str, loss: Loss, tree: jax.tree_util.PyTreeDef, leaves: Leaves) -> tuple[int, ...]:
    params, *two = from_signature(tree, leaves)
    two = [jax.ShapeDtypeStruct((2, *part.shape[1:]), part.dtype) for part in two]
    found = jax.eval_shape(lambda *arguments: evaluation_only(loss, *arguments)[0], params, *two)
    shape = getattr(found, 'shape', None)
    if shape not in ((), (2,)):
        raise ValueError(
            f'{function}: loss(params, x, y) returned {shape or type(found).__name__} for 2 examples; expected a loss '
            'for each'
        )
    return tuple(shape)


@partial(jax.jit, static_argnames=('loss', 'reduce'))
def _each(loss: Loss, params: Params, x: Array, y: Array, reduce: Callable[[Params], Any] | None) -> Any:
    leaves = named(params)
    found = factored_gradients.per_example(loss, params, x, y, in_order=True)
    whole = with_leaves(params, {name: factored_gradients.written_out(found[name], leaves[name]) for name in leaves})
    return jax.vmap(reduce)(whole) if reduce else whole


@partial(jax.jit, static_argnums=0)
def _squared_norms(loss: Loss, params: Params, x: Array, y: Array) -> Float[Array, ' batch']:
    if not factored_gradients.discover(loss, params, x, y):
        squares: Array = _each(
            loss, params, x, y, lambda g: sum(jnp.sum(wide(leaf) ** 2) for leaf in jax.tree.leaves(g))
        )
        return squares
    return jnp.asarray(sum(map(factored_gradients.squared_norms,
                               factored_gradients.per_example(loss, params, x, y).values())))  # fmt: skip


@partial(jax.jit, static_argnums=0)
def _sum(loss: Loss, params: Params, x: Array, y: Array, present: Array) -> Params:
    def total(params: Params) -> Array:
        losses = loss(params, x, y)
        if losses.ndim:
            return jnp.sum(losses * present)
        each = jax.vmap(lambda x, y: loss(params, x[None], y[None]))(x, y)
        return jnp.sum(each * present)

    return jax.grad(total)(params)
