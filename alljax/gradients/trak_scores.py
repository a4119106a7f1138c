"""TRAK: the training examples that a network's margin comes from, by regression on projected gradients."""

from collections.abc import Sequence
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from alljax.gradients import batching, random_projection
from alljax.gradients.argument_checks import (
    check_class_shape,
    check_classes,
    check_counts,
    check_examples,
    check_not_negative,
    known,
)
from alljax.gradients.named_parameters import matching
from alljax.gradients.network_checks import as_apply, classes, picked
from alljax.gradients.parameter_checks import check_trained
from alljax.gradients.random_projection import Kind, Projection
from alljax.gradients.typing import Apply, Examples, Loss, Network, Number, Params, Rows

RIDGE = 10.0  # times the mean eigenvalue of the projected gradients' products: best by tests/benchmarks/influence.py


def trak(
    apply: Network, checkpoints: Sequence[Params], train: Examples, test: Examples, *, key: Key[Array, ''],
    size: int = 512, ridge: Number = RIDGE, projection: Kind = 'dense', where: str | None = None,
    batch_size: int | None = None,
) -> Float[Array, 'test train']:  # fmt: skip
    """The rise of each test example's margin that each training example is good for (TRAK, arXiv:2303.14186).

    With the margin log p / (1 − p) of the label's probability p, φ its gradient projected to `size` numbers by random
    signs, and Φ those of all training examples: φ (ΦᵀΦ + ridge)⁻¹ Φᵀ, averaged over checkpoints, times 1 − p of the
    training example, averaged too (Park et al. 2023, eq. 17, without its threshold). The ridge is in units of the mean
    eigenvalue of ΦᵀΦ: the paper has none, and then needs `size` well below the number of examples. Checkpoints are best
    those of networks trained on random halves; each has a projection of its own. 'dense' draws a sign for each
    parameter and number, block by block, 'factored' those of a layer's rows and columns: less exact, and the only one
    for millions of parameters. `where` is as in `tracin`. Inputs are of any rank. Memory is that of a batch's gradients
    in factors, and of [N, size]. Can be jitted. ValueError for a network of one output.

    >>> gradients.trak(apply, [params], (x, y), (x[:2], y[:2]), key=key, size=16).shape
    (2, 4)
    """
    function = _checked(apply, checkpoints, train, test, where)
    check_counts('trak', batch_size=batch_size, size=size)
    check_not_negative('trak', ridge=ridge)
    if projection not in ('dense', 'factored'):
        raise ValueError(f"trak: projection is {projection!r}; it may be 'dense' or 'factored'")
    how = Projection(where, size, projection)
    total, weight = jnp.zeros(()), jnp.zeros(())
    for params, own in zip(checkpoints, jax.random.split(key, len(checkpoints)), strict=True):

        def projected(x: Array, y: Array, params: Params = params, own: Array = own) -> tuple[Array, Array]:
            found: tuple[Array, Array] = _projected(margin(function), params, x, y, own, how)
            return found

        features, missing = batching.rows(projected, batch_size, *train)
        asked, _ = batching.rows(projected, batch_size, *test)
        total, weight = total + _regressed(asked, features, ridge), weight + missing
    found = total * weight / len(checkpoints) ** 2
    if known(found) and not np.isfinite(found).all():
        raise ValueError(
            f'trak: ridge is {ridge}, and the {len(train[0])} training examples do not span {size} numbers; give a '
            'greater ridge, or a smaller size'
        )
    return found


def _checked(
    apply: Network, checkpoints: Sequence[Params], train: Examples, test: Examples, where: str | None
) -> Apply:
    function = as_apply(apply)
    if not len(checkpoints):
        raise ValueError('trak: checkpoints are none; expected a tree of parameters or more')
    for params in checkpoints:
        check_trained('trak', params, 'checkpoints', matching(where))
    for (x, y), name in ((train, 'train'), (test, 'test')):
        check_examples('trak', x, y, f'{name}[0]', f'{name}[1]')
        count = classes('trak', function, checkpoints[0], x, tokens=True)
        if count == 1:
            raise ValueError('trak: apply has one output, which has no margin to other classes; use tracin')
        check_class_shape('trak', y, len(x), f'{name}[1]')
        check_classes('trak', y, len(x), count, f'{name}[1]')
    return function


@lru_cache(maxsize=32)  # the same function each time, or all is compiled again
def margin(apply: Apply) -> Loss:
    """The log odds of each label, log p / (1 − p), in the form of a loss."""

    def of_batch(params: Params, x: Array, y: Array) -> Array:
        return margins(apply(params, x), y)

    return of_batch


def margins(logits: Float[Array, 'batch classes'], y: Rows) -> Float[Array, ' batch']:
    """The log odds of each label, log p / (1 − p): its logit above the others'."""
    others = jnp.where(jnp.arange(logits.shape[1]) == jnp.asarray(y)[:, None], -jnp.inf, logits)
    return picked(logits, jnp.asarray(y)) - jax.nn.logsumexp(others, 1)


@partial(jax.jit, static_argnums=(0, 5))
def _projected(
    loss: Loss, params: Params, x: Array, y: Array, key: Key[Array, ''], how: Projection
) -> tuple[Float[Array, 'batch size'], Float[Array, ' batch']]:
    """The projected gradients of the margins, and how much of the probability the label lacks."""
    found = random_projection.of_batch(loss, params, x, y, key, how)
    return found, jax.nn.sigmoid(-loss(params, x, y)).astype(found.dtype)


@jax.jit
def _regressed(
    test: Float[Array, 'test size'], train: Float[Array, 'train size'], ridge: Number
) -> Float[Array, 'test train']:
    """φ (ΦᵀΦ + ridge)⁻¹ Φᵀ, by the smaller of its two matrices."""
    count, size = train.shape
    share = (ridge * jnp.sum(train**2) / min(count, size)).astype(train.dtype)
    if count < size:
        kernel = train @ train.T + share * jnp.eye(count, dtype=train.dtype)
        return _solved(kernel, train @ test.T).T
    kernel = train.T @ train + share * jnp.eye(size, dtype=train.dtype)
    return test @ _solved(kernel, train.T)


def _solved(kernel: Float[Array, 'n n'], right: Float[Array, 'n m']) -> Float[Array, 'n m']:
    """The solution of a symmetric system; NaN if of a pivot nothing is left but rounding, so that there is none."""
    factor, lower = jax.scipy.linalg.cho_factor(kernel, lower=True)
    rounding = len(kernel) * float(np.finfo(kernel.dtype).eps) * jnp.diagonal(kernel)
    singular = (jnp.diagonal(factor) ** 2 <= rounding).any()
    return jnp.where(singular, jnp.nan, jax.scipy.linalg.cho_solve((factor, lower), right))
