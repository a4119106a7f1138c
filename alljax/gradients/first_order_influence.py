"""Influence functions: the change of a test example's loss if a training example were left out, to first order.

The gradients of the training examples are never written out: a product with one of them is the slope of its loss along
the direction that the test example's gradient became, so one forward pass with tangents gives all of them.
"""

from collections.abc import Callable, Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_counts, check_examples, not_finite
from alljax.gradients.example_gradients import check_loss
from alljax.gradients.named_parameters import matching, named, widened, with_leaves
from alljax.gradients.parameter_checks import check_same_tree, check_trained
from alljax.gradients.typing import Examples, Loss, Params

Solve = Callable[[Params], Params]  # from a gradient to the inverse curvature times it


def influence_functions(
    loss: Loss, params: Params, train: Examples, test: Examples, *,
    solve: Solve, where: str | None = None, batch_size: int | None = None,
) -> Float[Array, 'test train']:  # fmt: skip
    """The rise of each test example's loss if each training example were left out (arXiv:1703.04730).

    ⟨H⁻¹ gradient of the test example, gradient of the training example⟩ / N, to first order in 1/N (Koh and Liang
    2017): positive for helpful ones. `loss(params, x, y)` gives a loss for each example [N], without what regularizes
    the parameters. `solve` gives H⁻¹ g of a gradient g, a tree as `params`, where H is the curvature of the mean loss,
    and of the regularization: `lissa(op, key=key)` makes one, and so does a lambda around any other solver. `where` is
    as in `tracin`: other leaves are zeros in g, and of H⁻¹ g they are not looked at. Examples are of any rank. There is
    a solution for each test example, one after the other, and a forward pass over the training examples, `batch_size`
    at once; memory beside that is four times that of the parameters. Can be jitted, where `solve` can be. ValueError
    for a solution of another form, or one that is not finite.

    >>> op = gradients.curvature_operator(apply, params, x, y, kind='ggn')
    >>> solve = gradients.lissa(op, key=key, damping=0.1, steps=20)
    >>> gradients.influence_functions(loss, params, (x, y), (x[:2], y[:2]), solve=solve).shape
    (2, 4)
    """
    name = 'influence_functions'
    check_examples(name, *test, 'test[0]', 'test[1]')
    params = _prepared(name, loss, params, train, where, batch_size)
    found = []
    for direction in _directions(name, loss, params, test, solve, where)[1]:
        slopes = partial(_slopes, loss, params, direction)
        found.append(batching.rows(slopes, batch_size, *train))
    return jnp.stack(found) / len(train[0])


def self_influence(
    loss: Loss, params: Params, train: Examples, *,
    solve: Solve, where: str | None = None, batch_size: int | None = None,
) -> Float[Array, ' train']:  # fmt: skip
    """The rise of each training example's own loss if it were left out, the diagonal of `influence_functions`.

    Great for an example that the others contradict, as one with a wrong label: gᵀ H⁻¹ g / N. Arguments, shapes and
    errors are as of `influence_functions`; there is a solution for each training example. Can be jitted, where `solve`
    can be.

    >>> gradients.self_influence(loss, params, (x, y), solve=lambda gradient: gradient).shape
    (4,)
    """
    params = _prepared('self_influence', loss, params, train, where, batch_size)
    gradients, directions = _directions('self_influence', loss, params, train, solve, where)
    products = [_product(one, other) for one, other in zip(gradients, directions, strict=True)]
    return jnp.stack(products) / len(train[0])


def _prepared(
    name: str, loss: Loss, params: Params, train: Examples, where: str | None, batch_size: int | None
) -> Params:
    """The parameters in float32 or wider, after the checks of what the functions share."""
    check_counts(name, batch_size=batch_size)
    check_examples(name, *train, 'train[0]', 'train[1]')
    chosen = matching(where)
    check_trained(name, params, chosen=chosen)
    check_loss(name, loss, params, *train, batch_size, of_curvature=True)
    if not any(map(chosen, named(params))):
        raise ValueError(f'{name}: where is {where!r}: it matches no parameter')
    return widened(params)


def _directions(
    name: str, loss: Loss, params: Params, examples: Examples, solve: Solve, where: str | None
) -> tuple[Iterator[Params], Iterator[Params]]:
    """The gradients of the examples and what `solve` makes of them, each when it is asked for."""

    def gradient(row: int) -> Params:
        x, y = (batching.take(part, np.array([row])) for part in examples)
        return _gradient(loss, params, x, y, where)

    def direction(row: int) -> Params:
        solution = solve(gradient(row))
        check_same_tree(name, 'the solution of solve', solution, params, 'params')
        if not_finite(named(solution)):
            raise ValueError(
                f'{name}: solve gave NaN or infinity for example {row}: its curvature has a direction of no or '
                'negative curvature; give it a greater damping, or the Gauss-Newton matrix'
            )
        return _limited(solution, where)

    rows = range(len(examples[0]))
    return map(gradient, rows), map(direction, rows)


@partial(jax.jit, static_argnums=(0, 4))
def _gradient(loss: Loss, params: Params, x: Array, y: Array, where: str | None) -> Params:
    return _limited(jax.grad(lambda params: loss(params, x, y).sum())(params), where)


def _limited(tree: Params, where: str | None) -> Params:
    """The tree with zeros in the leaves that the pattern does not match."""
    if where is None:
        return tree
    leaves = {name: leaf if matching(where)(name) else jnp.zeros_like(leaf) for name, leaf in named(tree).items()}
    return with_leaves(tree, leaves)


@partial(jax.jit, static_argnums=0)
def _slopes(loss: Loss, params: Params, direction: Params, x: Array, y: Array) -> Float[Array, ' batch']:
    slopes: Array = jax.jvp(lambda params: loss(params, x, y), (params,), (direction,))[1]
    return slopes


@jax.jit
def _product(one: Params, other: Params) -> Float[Array, '']:
    return jnp.asarray(sum(map(jnp.vdot, jax.tree.leaves(one), jax.tree.leaves(other))))
