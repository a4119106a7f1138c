"""The loss around a point in the space of parameters, along lines and planes whose units are those of the filters."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_counts, check_examples, check_not_negative
from alljax.gradients.named_parameters import wide
from alljax.gradients.parameter_checks import check_params, check_same_tree, check_trained
from alljax.gradients.typing import Loss, Params, Rows

LossOfParams = Callable[[Params], Float[Array, '']]  # one number, of a whole data set
EPSILON = 1e-10


def mean_loss(loss: Loss, x: Rows, y: Rows, *, batch_size: int | None = None) -> LossOfParams:
    """The mean of `loss(params, x, y)`, a loss for each image [N], over a data set: a function of the parameters.

    Examples are of any rank. Can be jitted, and so can the function.

    >>> bool(gradients.mean_loss(loss, x, y)(params) > 0)
    True
    """
    check_counts('mean_loss', batch_size=batch_size)
    check_examples('mean_loss', x, y)

    def total(params: Params) -> Float[Array, '']:
        check_params('mean_loss', params)
        whole: Array = batching.total(partial(_sum, loss, params), batch_size, x, y)
        return whole / len(x)

    return total


def random_direction(params: Params, key: Key[Array, '']) -> Params:
    """A normal direction in the space of parameters, of any shapes. Can be jitted.

    >>> way = gradients.random_direction(params, key)
    >>> jax.tree.structure(way) == jax.tree.structure(params)
    True
    """
    check_trained('random_direction', params)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    drawn = [jax.random.normal(own, leaf.shape, leaf.dtype) for own, leaf in zip(keys, leaves, strict=True)]
    return jax.tree.unflatten(tree, drawn)


def filter_normalized(direction: Params, params: Params) -> Params:
    """The direction, each filter of it as long as the network's own filter (Li et al. 2018, arXiv:1712.09913).

    A filter is what leads to one output channel, the last axis of a kernel. Biases, scales and other vectors do not
    move: by them a network could change its loss without changing its function. Parameters are of any shapes. Can be
    jitted. ValueError for trees that differ.

    >>> way = gradients.filter_normalized(gradients.random_direction(params, key), params)
    >>> [float(leaf.max()) for leaf in jax.tree.leaves(way) if leaf.ndim < 2]
    [0.0]
    """
    _check_direction('filter_normalized', direction, params, 'direction')
    return _filter_normalized(direction, params)


@jax.jit
def _filter_normalized(direction: Params, params: Params) -> Params:
    def one(way: Array, leaf: Array) -> Array:
        if leaf.ndim < 2:
            return jnp.zeros_like(leaf)
        axes = tuple(range(leaf.ndim - 1))
        length, own = (jnp.sqrt(jnp.sum(wide(part) ** 2, axes, keepdims=True)) for part in (way, leaf))
        return (way * own / (length + EPSILON)).astype(way.dtype)

    return jax.tree.map(one, direction, params)


def loss_along_line(
    loss: LossOfParams,
    params: Params,
    directions: Params,
    span: float = 1.0,
    *,
    points: int = 41,
    normalize: bool = True,
) -> tuple[Float[Array, ' points'], Float[Array, ' points']]:
    """The offsets from −`span` to `span` and the loss at params + offset × direction.

    `loss(params)` gives one number: `mean_loss` makes one of a data set. The direction is filter-normalized unless
    `normalize` is false, as between two checkpoints, where offset 1 then is the second. Parameters are of any shapes.
    Can be jitted, though each point is a copy of the loss in the program.

    >>> way = gradients.random_direction(params, key)
    >>> offsets, losses = gradients.loss_along_line(gradients.mean_loss(loss, x, y), params, way, points=3)
    """
    check_counts('loss_along_line', points=points)
    check_not_negative('loss_along_line', span=span)
    _check_direction('loss_along_line', directions, params, 'directions')
    way = _filter_normalized(directions, params) if normalize else directions
    offsets = jnp.linspace(-span, span, points)
    return offsets, jnp.stack([jnp.asarray(loss(_moved(params, (way,), (offset,)))) for offset in offsets])


def loss_on_plane(
    loss: LossOfParams, params: Params, directions: tuple[Params, Params], span: float = 1.0, *, points: int = 21,
    normalize: bool = True,
) -> tuple[Float[Array, ' points'], Float[Array, 'points points']]:  # fmt: skip
    """The same as `loss_along_line` for two directions: the loss at [i, j] is at offsets i and j along them.

    Parameters are of any shapes. Can be jitted, though each point is a copy of the loss in the program.

    >>> ways = (gradients.random_direction(params, key), params)
    >>> offsets, losses = gradients.loss_on_plane(gradients.mean_loss(loss, x, y), params, ways, points=2)
    """
    check_counts('loss_on_plane', points=points)
    check_not_negative('loss_on_plane', span=span)
    if len(directions) != 2:
        raise ValueError(f'loss_on_plane: directions are {len(directions)}; expected a pair of them')
    for number, way in enumerate(directions):
        _check_direction('loss_on_plane', way, params, f'directions[{number}]')
    ways = tuple(_filter_normalized(way, params) if normalize else way for way in directions)
    offsets = jnp.linspace(-span, span, points)
    rows = [
        jnp.stack([jnp.asarray(loss(_moved(params, ways, (first, second)))) for second in offsets]) for first in offsets
    ]
    return offsets, jnp.stack(rows)


def _check_direction(function: str, direction: Params, params: Params, name: str) -> None:
    check_trained(function, params)
    check_trained(function, direction, name)
    check_same_tree(function, name, direction, params, 'params')


@jax.jit
def _moved(params: Params, ways: tuple[Params, ...], offsets: tuple[Array, ...]) -> Params:
    for way, offset in zip(ways, offsets, strict=True):
        params = jax.tree.map(lambda leaf, step, offset=offset: leaf + offset.astype(leaf.dtype) * step, params, way)
    return params


@partial(jax.jit, static_argnums=0)
def _sum(loss: Loss, params: Params, x: Array, y: Array, present: Array) -> Float[Array, '']:
    return jnp.sum(loss(params, x, y) * present)
