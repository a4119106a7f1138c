"""The training cells that a prediction comes from: inner products of the gradients of single examples."""

from collections.abc import Sequence
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from alljax.gradients import batching, factored_gradients
from alljax.gradients.argument_checks import check_counts, check_examples, check_finite, check_inputs
from alljax.gradients.factored_gradients import Factor
from alljax.gradients.named_parameters import matching
from alljax.gradients.network_checks import as_apply, classes, picked
from alljax.gradients.parameter_checks import check_trained
from alljax.gradients.typing import Apply, Examples, Inputs, Loss, Network, Params

Others = Shaped[Array, 'others ...'] | Shaped[np.ndarray, 'others ...']


def tracin(
    loss: Loss, checkpoints: Sequence[Params], train: Examples, test: Examples, rates: Sequence[float], *,
    where: str | None = None, batch_size: int | None = None,
) -> Float[Array, 'test train']:  # fmt: skip
    """The decrease of each test example's loss by a step on each training example (TracIn, arXiv:2002.08484).

    Σ over checkpoints of rate × ⟨gradient of the test example, gradient of the training example⟩ (Pruthi et al. 2020):
    positive for helpful ones. `loss(params, x, y)` gives a loss for each image [N]; `where` is a regular expression
    over whole parameter names, to which the products are limited ('head/.*'). Memory is that of two batches. ValueError
    unless there is a rate for each checkpoint, and for a pattern that matches no parameter. Examples are of any rank.
    Can be jitted.

    >>> gradients.tracin(loss, [params], (x, y), (x[:2], y[:2]), [0.1]).shape
    (2, 4)
    """
    if len(checkpoints) != len(rates) or not rates:
        raise ValueError(
            f'tracin: {len(checkpoints)} checkpoints and {len(rates)} rates; expected a rate for each checkpoint'
        )
    check_counts('tracin', batch_size=batch_size)
    check_finite('tracin', 'rates', np.asarray(rates, float))
    for examples, name in ((train, 'train'), (test, 'test')):
        check_examples('tracin', *examples, f'{name}[0]', f'{name}[1]')
    for params in checkpoints:
        check_trained('tracin', params, 'checkpoints', matching(where))
    return jnp.asarray(
        sum(
            rate * _inner_products(loss, params, test, train, where, batch_size)
            for params, rate in zip(checkpoints, rates, strict=True)
        )
    )


def gradient_cosine(
    loss: Loss, params: Params, train: Examples, test: Examples, *, where: str | None = None,
    batch_size: int | None = None,
) -> Float[Array, 'test train']:  # fmt: skip
    """The cosine of the gradients of each test example and each training example (Grad-Cos, arXiv:2006.04528).

    How far a step on the one is one on the other, −1 to 1, whatever the size of either's loss (Hanawa et al. 2021); NaN
    where a gradient is zero. `loss`, `where` and memory are as of `tracin`. Examples are of any rank. Can be jitted.

    >>> gradients.gradient_cosine(loss, params, (x, y), (x[:2], y[:2])).shape
    (2, 4)
    """
    check_counts('gradient_cosine', batch_size=batch_size)
    for examples, name in ((train, 'train'), (test, 'test')):
        check_examples('gradient_cosine', *examples, f'{name}[0]', f'{name}[1]')
    check_trained('gradient_cosine', params, chosen=matching(where))
    products = _inner_products(loss, params, test, train, where, batch_size)
    one, other = (_norms(loss, params, examples, where, batch_size) for examples in (test, train))
    return products / one[:, None] / other


def neural_tangent_kernel(
    apply: Network, params: Params, x1: Inputs, x2: Others, *, where: str | None = None, batch_size: int | None = None
) -> Float[Array, 'first second classes classes']:
    """The empirical neural tangent kernel: inner products of the gradients of each image's logits (arXiv:1806.07572).

    [n, m, i, j] belongs to logit i of image n of `x1` and logit j of image m of `x2`. `batch_size` counts logits at
    once; of a network of one output there is one for each input. `where` is as in `tracin`. Inputs are of any rank;
    tokens are integers. Can be jitted.

    >>> gradients.neural_tangent_kernel(apply, params, x, x[:2]).shape
    (4, 2, 3, 3)
    """
    function = as_apply(apply)
    check_counts('neural_tangent_kernel', batch_size=batch_size)
    check_trained('neural_tangent_kernel', params, chosen=matching(where))
    check_inputs('neural_tangent_kernel', x1, 'x1', tokens=True)
    check_inputs('neural_tangent_kernel', x2, 'x2', tokens=True)
    if x1.shape[1:] != x2.shape[1:]:
        raise ValueError(
            f'neural_tangent_kernel: x2 has images {x2.shape[1:]} and x1 {x1.shape[1:]}; expected the same size'
        )
    count = classes('neural_tangent_kernel', function, params, x1, tokens=True)
    first, second = ((jnp.repeat(jnp.asarray(x), count, 0), jnp.tile(jnp.arange(count), len(x))) for x in (x1, x2))
    found = _inner_products(_logit(function), params, first, second, where, batch_size)
    return found.reshape(len(x1), count, len(x2), count).swapaxes(1, 2)


@lru_cache(maxsize=32)  # the same function each time, or all is compiled again
def _logit(apply: Apply) -> Loss:
    """The logit of each image's label, in the form of a loss."""
    return lambda params, x, y: picked(apply(params, x), y)


def _inner_products(
    loss: Loss, params: Params, rows: Examples, columns: Examples, where: str | None, batch_size: int | None
) -> Float[Array, 'rows columns']:
    """The products of every row with every column, batch by batch; the last batches are smaller."""

    def parts(examples: Examples) -> list[tuple[Array, Array]]:
        chosen = [index[:count] for index, count in batching.chunks(len(examples[0]), batch_size)]
        return [(batching.take(examples[0], index), batching.take(examples[1], index)) for index in chosen]

    found = []
    for row in parts(rows):
        held = _gradients(loss, params, *row, where)
        found.append(
            jnp.concatenate([_products(held, _gradients(loss, params, *column, where)) for column in parts(columns)], 1)
        )
    return jnp.concatenate(found)


def _norms(
    loss: Loss, params: Params, examples: Examples, where: str | None, batch_size: int | None
) -> Float[Array, ' examples']:
    def of_batch(x: Array, y: Array) -> Array:
        squares: Array = _squares(_gradients(loss, params, x, y, where))
        return squares

    return jnp.sqrt(batching.rows(of_batch, batch_size, *examples))


@jax.jit
def _squares(found: dict[str, Factor]) -> Float[Array, ' batch']:
    return jnp.asarray(sum(map(factored_gradients.squared_norms, found.values())))


@partial(jax.jit, static_argnums=(0, 4))
def _gradients(loss: Loss, params: Params, x: Array, y: Array, where: str | None) -> dict[str, Factor]:
    found = factored_gradients.per_example(loss, params, x, y, matching(where))
    if not found:
        raise ValueError(f'where is {where!r}: it matches no parameter')
    return {name: factored_gradients.expanded(factor) for name, factor in found.items()}


@jax.jit
def _products(one: dict[str, Factor], other: dict[str, Factor]) -> Float[Array, 'rows columns']:
    return jnp.asarray(sum(factored_gradients.inner_products(one[name], other[name]) for name in one))
