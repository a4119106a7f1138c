"""The spread of the gradients of single examples, and how the gradients of classes pull against each other."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from alljax.gradients import batching, factored_gradients
from alljax.gradients.example_gradients import check_loss
from alljax.gradients.named_parameters import by_layer, named, wide, widened
from alljax.gradients.parameter_checks import check_same_tree, check_trained
from alljax.gradients.typing import Loss, Params, Rows

ALL = 'all'  # the name of all layers together


class Statistics(NamedTuple):
    """The spread of the gradients g of N examples around their mean G, of one layer or of all, in units of the loss."""

    norm: Float[Array, '']  # |G|
    variance: Float[Array, '']  # Σ |g − G|² / (N − 1)
    snr: Float[Array, '']  # |G|² / variance
    noise_scale: Float[Array, '']  # cells of a batch whose noise is as large as its gradient (arXiv:1812.06162)
    diversity: Float[Array, '']  # Σ |g|² / |Σ g|² (Yin et al. 2018, arXiv:1706.05699): 1/N if all are alike


class Similarity(NamedTuple):
    """The angles between the gradients of groups."""

    cosine: Float[Array, 'groups groups']
    conflict: Float[Array, 'groups groups']  # −cosine where it is negative, else 0: 1 pulls the opposite way


def gradient_statistics(
    loss: Loss, params: Params, x: Rows, y: Rows, *, batch_size: int | None = None
) -> dict[str, Statistics]:
    """Layer → statistics of the gradients of its parameters, and 'all'; in one pass, one batch at a time.

    `loss` is as in `per_example_gradients`. The noise scale is the unbiased one: infinite where the gradients of so few
    examples do not tell their mean from zero. Examples are of any rank. Can be jitted. ValueError for fewer than two
    examples.

    >>> list(gradients.gradient_statistics(loss, params, x, y))
    ['all', 'bias', 'weights']
    """
    check_loss('gradient_statistics', loss, params, x, y, batch_size)
    if len(x) < 2:
        raise ValueError(f'gradient_statistics: x: {len(x)} example has no variance; expected two or more')
    squares, total = batching.total(partial(_moments, loss, params), batch_size, x, y)
    whole = {name: jnp.sum(leaf**2) for name, leaf in total.items()}
    groups = {ALL: list(total)} | by_layer(total)
    return {
        layer: from_sums(len(x), sum(squares[name] for name in names), sum(whole[name] for name in names))
        for layer, names in groups.items()
    }


def from_sums(count: ArrayLike, squares: ArrayLike, whole: ArrayLike) -> Statistics:
    """Statistics of `count` examples from Σ |g|² and |Σ g|²."""
    count, squares, whole = (jnp.asarray(value, jnp.result_type(float)) for value in (count, squares, whole))
    mean = whole / count**2
    variance = jnp.maximum(squares - whole / count, 0) / (count - 1)
    signal = mean - variance / count
    scale = jnp.where(signal > 0, variance / signal, jnp.where(jnp.isnan(signal), jnp.nan, jnp.inf))
    return Statistics(jnp.sqrt(mean), variance, mean / variance, scale, squares / whole)


def gradient_similarity(grads: Params) -> Similarity:
    """The angles between gradients: of a tree with a first axis [G], such as `class_gradients` gives.

    Leaves are of any shapes after it. Can be jitted. ValueError for gradients that are not finite, or of different
    numbers of groups.

    >>> means = gradients.class_gradients(loss, params, x, y)
    >>> gradients.gradient_similarity(means).cosine.shape
    (3, 3)
    """
    check_trained('gradient_similarity', grads, 'grads')
    lengths = {jnp.shape(leaf)[:1] for leaf in jax.tree.leaves(grads)}
    if len(lengths) > 1 or () in lengths:
        raise ValueError(
            f'gradient_similarity: grads has first axes of {sorted(lengths)}; expected one, of the same groups'
        )
    found: Similarity = _similarity(grads)
    return found


@jax.jit
def _similarity(grads: Params) -> Similarity:
    return from_products(jnp.stack([_gram(leaf) for leaf in jax.tree.leaves(grads)]).sum(0))


def from_products(products: Float[Array, 'groups groups']) -> Similarity:
    """Similarity from inner products; a gradient of zero is like no other."""
    norms = jnp.sqrt(jnp.diag(products))
    below = norms[:, None] * norms
    cosine = jnp.where(below > 0, products / jnp.where(below > 0, below, 1), 0)
    return Similarity(cosine, jnp.maximum(-cosine, 0))


def update_ratio(params: Params, updates: Params) -> dict[str, Float[Array, '']]:
    """Layer → norm of its update over the norm of its parameters: how fast it changes; 1e-3 is usual.

    Parameters are of any shapes. Can be jitted. ValueError for trees that differ, or are not finite.

    >>> list(gradients.update_ratio(params, jax.tree.map(lambda leaf: 1e-3 * leaf, params)))
    ['bias', 'weights']
    """
    check_trained('update_ratio', params)
    check_trained('update_ratio', updates, 'updates')
    check_same_tree('update_ratio', 'updates', updates, params, 'params')
    ratios: dict[str, Array] = _ratios(params, updates)
    return ratios


@jax.jit
def _ratios(params: Params, updates: Params) -> dict[str, Float[Array, '']]:
    leaves, changes = named(params), named(updates)

    def norm(tree: dict[str, Array], names: list[str]) -> Array:
        return jnp.sqrt(sum(jnp.sum(wide(tree[name]) ** 2) for name in names))

    return {layer: norm(changes, names) / norm(leaves, names) for layer, names in by_layer(changes).items()}


@partial(jax.jit, static_argnums=0)
def _moments(
    loss: Loss, params: Params, x: Array, y: Array, present: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Σ |g|² and Σ g of the examples that are present, by the name of the parameter."""
    layers = factored_gradients.discover(loss, params, x, y)
    if not layers:
        each = factored_gradients.explicit(loss, params, x, y, list(named(params)))
        each = {name: jnp.where(_as_column(present, g), g, 0) for name, g in each.items()}
        return {name: jnp.sum(g**2) for name, g in each.items()}, {name: g.sum(0) for name, g in each.items()}

    def total(params: Params, offsets: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
        with factored_gradients.recording(layers, offsets) as inputs:
            return jnp.sum(loss(params, x, y) * present), inputs

    zeros = factored_gradients.zero_offsets(layers)
    (gradient, cotangents), inputs = jax.grad(total, (0, 1), has_aux=True)(params, zeros)
    short = factored_gradients.factors(layers, inputs, cotangents)
    squares = {name: factored_gradients.squared_norms(factor).sum() for name, factor in short.items()}
    rest = factored_gradients.explicit(loss, params, x, y, [name for name in named(params) if name not in short])
    squares |= {name: jnp.sum(g**2 * _as_column(present, g)) for name, g in rest.items()}
    return squares, named(widened(gradient))


def _as_column(present: Array, gradients: Array) -> Array:
    """A number for each example, with as many axes as their gradients."""
    return present.reshape(-1, *[1] * (gradients.ndim - 1))


def _gram(leaf: Array) -> Float[Array, 'groups groups']:
    flat: Array = wide(leaf).reshape(len(leaf), -1)
    return flat @ flat.T
