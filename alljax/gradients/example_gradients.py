"""The gradients of single examples: their norms, their spread, and how the classes pull against each other."""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from alljax.gradients import batching, factored_gradients
from alljax.gradients.named_parameters import by_layer, named, renamed
from alljax.gradients.network_checks import Loss, Params, evaluation_only, of_form, signature

Reduce = Literal['norm', 'squared'] | Callable[[Params], Any] | None
ALL = 'all'  # the name of all layers together


class Statistics(NamedTuple):
    """How the gradients g of N examples lie to their mean G, of one layer or of all; numbers, in units of the loss."""

    norm: Float[Array, '']  # |G|
    variance: Float[Array, '']  # Σ |g − G|² / (N − 1)
    snr: Float[Array, '']  # |G|² / variance
    noise_scale: Float[Array, '']  # cells of a batch whose noise is as large as its gradient (arXiv:1812.06162)
    diversity: Float[Array, '']  # Σ |g|² / |Σ g|² (Yin et al. 2018, arXiv:1706.05699): 1/N if all are alike


class Similarity(NamedTuple):
    """How the gradients of groups lie to each other."""

    cosine: Float[Array, 'groups groups']
    conflict: Float[Array, 'groups groups']  # −cosine where it is negative, else 0: 1 pulls the opposite way


def per_example(
    loss: Loss, params: Params, x: Any, y: Any, *, reduce: Reduce = None, batch_size: int | None = None
) -> Any:
    """The gradient of each example's loss: a tree with a first axis [N], or what `reduce` makes of each.

    `loss(params, x, y)` gives a loss for each image of a batch [N]; one number for a batch will do. 'norm' and
    'squared' are those of all parameters together, [N]; of linen's layers they are found without the gradients, if
    `loss` gives [N]. A function gets the tree of one example's gradient. ValueError for a network in training mode.
    """
    if not (reduce is None or callable(reduce) or reduce in ('norm', 'squared')):
        raise ValueError(f"reduce is {reduce!r}; it may be None, 'norm', 'squared' or a function of a gradient")
    _look(loss, params, x, y)
    if isinstance(reduce, str):
        found = batching.rows(partial(_squared, loss, params), batch_size, x, y)
        return jnp.sqrt(found) if reduce == 'norm' else found
    return batching.rows(partial(_each, loss, params, reduce=reduce), batch_size, x, y)


def statistics(loss: Loss, params: Params, x: Any, y: Any, *, batch_size: int | None = None) -> dict[str, Statistics]:
    """Layer → statistics of the gradients of its parameters, and 'all'; in one pass, one batch at a time.

    `loss` is as in `per_example`. The noise scale is the unbiased one: infinite where the gradients of so few examples
    do not tell their mean from zero. ValueError for fewer than two examples.
    """
    if len(x) < 2:
        raise ValueError(f'{len(x)} example has no variance; expected two or more')
    _look(loss, params, x, y)
    squares, total = batching.total(partial(_moments, loss, params), batch_size, x, y)
    whole = {name: jnp.sum(leaf**2) for name, leaf in total.items()}
    groups = {ALL: list(total)} | by_layer(total)
    return {
        layer: from_sums(len(x), sum(squares[name] for name in names), sum(whole[name] for name in names))
        for layer, names in groups.items()
    }


def from_sums(count: Any, squares: Any, whole: Any) -> Statistics:
    """Statistics of `count` examples from Σ |g|² and |Σ g|²."""
    count, squares, whole = (jnp.asarray(value, jnp.result_type(float)) for value in (count, squares, whole))
    mean = whole / count**2
    variance = jnp.maximum(squares - whole / count, 0) / (count - 1)
    signal = mean - variance / count
    return Statistics(
        jnp.sqrt(mean), variance, mean / variance, jnp.where(signal > 0, variance / signal, jnp.inf), squares / whole
    )


def class_gradients(
    loss: Loss, params: Params, x: Any, y: Any, *, classes: int = 0, batch_size: int | None = None
) -> Params:
    """The mean gradient of each class's examples: a tree with a first axis [G]; zeros for a class without any.

    `loss` is as in `per_example`; `classes` is by default one more than the largest label.
    """
    _look(loss, params, x, y)
    labels = np.asarray(y)
    count = classes or int(labels.max()) + 1
    if not 0 <= labels.min() <= labels.max() < count:
        raise ValueError(f'the labels go from {labels.min()} to {labels.max()}: expected 0 to {count - 1}')
    size = len(next(batching.chunks(len(labels), batch_size))[0])

    def mean(rows: Int[np.ndarray, ' chosen']) -> Params:
        total = jax.tree.map(jnp.zeros_like, params)
        for start in range(0, len(rows), size):
            chosen = rows[start : start + size]
            index = np.resize(chosen, size)  # one shape for all classes
            present = jnp.arange(size) < len(chosen)
            part = _sum(loss, params, jnp.asarray(x[index]), jnp.asarray(y[index]), present)
            total = jax.tree.map(jnp.add, total, part)
        return jax.tree.map(lambda leaf: leaf / max(len(rows), 1), total)

    means = [mean(np.flatnonzero(labels == wanted)) for wanted in range(count)]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *means)


@jax.jit
def similarity(grads: Params) -> Similarity:
    """How gradients lie to each other: a tree with a first axis [G], such as `class_gradients` gives."""
    return from_products(jnp.stack([_gram(leaf) for leaf in jax.tree.leaves(grads)]).sum(0))


def from_products(products: Float[Array, 'groups groups']) -> Similarity:
    """Similarity from inner products; a gradient of zero is like no other."""
    norms = jnp.sqrt(jnp.diag(products))
    below = norms[:, None] * norms
    cosine = jnp.where(below > 0, products / jnp.where(below > 0, below, 1), 0)
    return Similarity(cosine, jnp.maximum(-cosine, 0))


@jax.jit
def update_ratio(params: Params, updates: Params) -> dict[str, Float[Array, '']]:
    """Layer → norm of its update over the norm of its parameters: how fast it changes; 1e-3 is usual."""
    leaves, changes = named(params), named(updates)

    def norm(tree: dict[str, Array], names: list[str]) -> Array:
        return jnp.sqrt(sum(jnp.sum(tree[name] ** 2) for name in names))

    return {layer: norm(changes, names) / norm(leaves, names) for layer, names in by_layer(changes).items()}


def check(
    function: Callable[..., Any], *arguments: Any, key: Key[Array, ''], directions: int = 8, step: float = 1e-5
) -> Float[Array, ' directions']:
    """The relative error of a function's derivative in random directions, against central differences in float64.

    `function(*arguments)` gives a number; its floating leaves are all varied together, the others are left alone.
    Near 1e-9 where the gradient is right, unless a rectifier changes sign within the step.
    """
    with jax.enable_x64(True):
        wide = [jax.tree.map(_widen, argument) for argument in arguments]
        flat = {name: leaf for name, leaf in named(wide).items() if jnp.issubdtype(leaf.dtype, jnp.floating)}

        def of_some(some: dict[str, Array]) -> Array:
            return function(*renamed(wide, named(wide) | some))

        gradient = jax.grad(of_some)(flat)
        errors = []
        for number in range(directions):
            keys = jax.random.split(jax.random.fold_in(key, number), len(flat))
            way = {name: jax.random.normal(own, flat[name].shape, flat[name].dtype)
                   for own, name in zip(keys, flat, strict=True)}  # fmt: skip
            ahead, behind = (
                of_some({name: leaf + sign * step * way[name] for name, leaf in flat.items()}) for sign in (1, -1)
            )
            expected = (ahead - behind) / (2 * step)
            found = sum(jnp.vdot(gradient[name], way[name]) for name in flat)
            errors.append(jnp.abs(found - expected) / jnp.maximum(jnp.abs(expected), 1e-12))
        return jnp.stack(errors)


def _widen(leaf: Any) -> Array:
    leaf = jnp.asarray(np.asarray(leaf))
    return leaf.astype(jnp.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def _look(loss: Loss, params: Params, x: Any, y: Any) -> None:
    """ValueError for a loss that no example can be told apart in, and for a network in training mode."""
    _looked(loss, *signature((params, x[:2], y[:2])))


@lru_cache(maxsize=128)
def _looked(loss: Loss, tree: Any, leaves: tuple[Any, ...]) -> None:
    params, *two = of_form(tree, leaves)
    two = [jax.ShapeDtypeStruct((2, *part.shape[1:]), part.dtype) for part in two]
    found = jax.eval_shape(lambda *arguments: evaluation_only(loss, *arguments)[0], params, *two)
    shape = getattr(found, 'shape', None)
    if shape not in ((), (2,)):
        raise ValueError(
            f'loss(params, x, y) returned {shape or type(found).__name__} for 2 examples; expected a loss for each'
        )


@partial(jax.jit, static_argnames=('loss', 'reduce'))
def _each(loss: Loss, params: Params, x: Array, y: Array, reduce: Callable[[Params], Any] | None) -> Any:
    def one(x: Array, y: Array) -> Any:
        gradient = jax.grad(lambda params: loss(params, x[None], y[None]).sum())(params)
        return reduce(gradient) if reduce else gradient

    return jax.vmap(one)(x, y)


@partial(jax.jit, static_argnums=0)
def _squared(loss: Loss, params: Params, x: Array, y: Array) -> Float[Array, ' batch']:
    if not factored_gradients.discover(loss, params, x, y):
        return _each(loss, params, x, y, lambda gradient: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
    return sum(map(factored_gradients.squared, factored_gradients.examples(loss, params, x, y).values()))  # type: ignore[return-value]


@partial(jax.jit, static_argnums=0)
def _moments(loss: Loss, params: Params, x: Array, y: Array, present: Array) -> tuple[dict[str, Any], dict[str, Array]]:
    """Σ |g|² and Σ g of the examples that are present, by the name of the parameter."""
    layers = factored_gradients.discover(loss, params, x, y)
    if not layers:
        each = factored_gradients.written_out(loss, params, x, y, list(named(params)))
        each = {name: jnp.where(present.reshape(-1, *[1] * (g.ndim - 1)), g, 0) for name, g in each.items()}
        return {name: jnp.sum(g**2) for name, g in each.items()}, {name: g.sum(0) for name, g in each.items()}

    def total(params: Params, push: dict[str, Array]) -> tuple[Array, dict[str, Array]]:
        with factored_gradients.watching(layers, push) as inputs:
            return jnp.sum(loss(params, x, y) * present), inputs

    (gradient, cotangents), inputs = jax.grad(total, (0, 1), has_aux=True)(params, factored_gradients.nothing(layers))
    short = factored_gradients.factors(layers, inputs, cotangents)
    squares = {name: factored_gradients.squared(factor).sum() for name, factor in short.items()}
    rest = factored_gradients.written_out(loss, params, x, y, [name for name in named(params) if name not in short])
    squares |= {name: jnp.sum(g**2 * present.reshape(-1, *[1] * (g.ndim - 1))) for name, g in rest.items()}
    return squares, named(gradient)


@partial(jax.jit, static_argnums=0)
def _sum(loss: Loss, params: Params, x: Array, y: Array, present: Array) -> Params:
    def total(params: Params) -> Array:
        losses = loss(params, x, y)
        if losses.ndim:
            return jnp.sum(losses * present)
        each = jax.vmap(lambda x, y: loss(params, x[None], y[None]))(x, y)
        return jnp.sum(each * present)

    return jax.grad(total)(params)


def _gram(leaf: Array) -> Float[Array, 'groups groups']:
    flat = leaf.reshape(len(leaf), -1)
    return flat @ flat.T
