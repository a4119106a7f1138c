"""Paths between two networks: a straight line, and a Bézier curve that is trained so that the loss on it stays low."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key

from alljax.gradients.argument_checks import check_counts, check_not_negative
from alljax.gradients.loss_landscape import LossOfParams
from alljax.gradients.mean_gradients import check_mean, mean_and_gradient, scaled
from alljax.gradients.named_parameters import widened
from alljax.gradients.parameter_checks import check_same_tree, check_trained
from alljax.gradients.typing import Loss, Params, Rows


class PathLoss(NamedTuple):
    """The loss on a path between two networks."""

    position: Float[Array, ' points']  # from 0, at the first, to 1
    loss: Float[Array, ' points']
    barrier: Float[Array, '']  # the most by which it is above the straight line between the losses of both; 0 or more


def loss_along_path(
    loss: LossOfParams, params: Params, other: Params, bend: Params | None = None, *, points: int = 21
) -> PathLoss:
    """The loss between two networks: on the straight line, or on the Bézier curve that `bend` of `bezier_bend` draws.

    `loss(params)` gives one number: `mean_loss` makes one of a data set. Parameters are of any shapes, the same for
    all. Running statistics belong to one network only: take a function that finds them anew, or a network without. Can
    be jitted, though each point is a copy of the loss in the program. The barrier is that of Frankle et al. 2020
    (arXiv:1912.05671).

    >>> other = gradients.random_direction(params, key)
    >>> found = gradients.loss_along_path(gradients.mean_loss(loss, x, y), params, other, points=3)
    """
    check_counts('loss_along_path', points=points)
    if points < 2:
        raise ValueError(f'loss_along_path: points is {points}; expected 2 or more, for both ends')
    _check_ends('loss_along_path', params, other, bend)
    position = jnp.linspace(0, 1, points)
    losses = jnp.stack([jnp.asarray(loss(path_point(params, other, bend, place))) for place in position])
    straight = losses[0] + position * (losses[-1] - losses[0])
    return PathLoss(position, losses, jnp.maximum(jnp.max(losses - straight), 0))


def bezier_bend(
    loss: Loss, params: Params, x: Rows, y: Rows, other: Params, *, key: Key[Array, ''], steps: int = 200,
    rate: float = 0.01, examples: int | None = None, batch_size: int | None = None,
) -> Params:  # fmt: skip
    """The middle of a quadratic Bézier curve from `params` to `other` along which the loss is low: a tree like them.

    Garipov et al. 2018 (arXiv:1802.10026): each of the `steps` draws a place on the curve from 0 to 1 and `examples`
    (all by default), and Adam moves the middle with the learning `rate`, from halfway between the ends. The curve at t
    is (1 − t)² params + 2 t (1 − t) bend + t² other; `loss_along_path` follows it. `loss(params, x, y)` gives a loss
    for each example [N], of any rank. Can be jitted, though each step is a copy of the loss in the program.

    >>> other = gradients.random_direction(params, key)
    >>> bend = gradients.bezier_bend(loss, params, x, y, other, key=key, steps=2)
    >>> found = gradients.loss_along_path(gradients.mean_loss(loss, x, y), params, other, bend, points=3)
    """
    check_counts('bezier_bend', steps=steps, examples=examples)
    check_not_negative('bezier_bend', rate=rate)
    check_mean('bezier_bend', loss, params, x, y, batch_size)
    _check_ends('bezier_bend', params, other, None)
    count = min(examples or len(x), len(x))
    x, y = jnp.asarray(x), jnp.asarray(y)
    bend = jax.tree.map(lambda one, two: (one + two) / 2, widened(params), widened(other))
    state = _optimizer(rate).init(bend)
    for own in jax.random.split(key, steps):
        at, of = jax.random.split(own)
        place = jax.random.uniform(at)
        rows = jax.random.permutation(of, len(x))[:count]
        chosen = (x, y) if count == len(x) else (x[rows], y[rows])
        there = path_point(params, other, bend, place)
        _, gradient = mean_and_gradient(loss, there, *chosen, batch_size)
        bend, state = _moved(bend, state, gradient, place, rate)
    return bend


@jax.jit
def path_point(params: Params, other: Params, bend: Params | None, place: Float[Array, '']) -> Params:
    """The parameters at a place of a path, 0 to 1, in float32 or wider."""
    ends = [scaled(widened(params), (1 - place)), scaled(widened(other), place)]
    if bend is None:
        return jax.tree.map(jnp.add, *ends)
    parts = [scaled(ends[0], 1 - place), scaled(widened(bend), 2 * place * (1 - place)), scaled(ends[1], place)]
    return jax.tree.map(lambda one, middle, two: (one + middle + two).astype(one.dtype), *parts)


def _optimizer(rate: float | Float[Array, '']) -> optax.GradientTransformation:
    return optax.adam(rate)


@jax.jit
def _moved(
    bend: Params, state: optax.OptState, gradient: Params, place: Array, rate: float | Float[Array, '']
) -> tuple[Params, optax.OptState]:
    update, state = _optimizer(rate).update(scaled(gradient, 2 * place * (1 - place)), state)
    return optax.apply_updates(bend, update), state


def _check_ends(function: str, params: Params, other: Params, bend: Params | None) -> None:
    check_trained(function, params)
    for name, tree in (('other', other), ('bend', bend)):
        if tree is not None:
            check_trained(function, tree, name)
            check_same_tree(function, name, tree, params, 'params')
