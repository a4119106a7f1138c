"""Training in numbers, for any loop: gradients and their angles, the curvature, and how far the layers have moved."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from alljax.gradients.argument_checks import ArgumentTypeError, check_counts, known
from alljax.gradients.curvature import curvature_operator
from alljax.gradients.example_gradients import class_gradients
from alljax.gradients.example_statistics import ALL, gradient_similarity, gradient_statistics
from alljax.gradients.mean_gradients import check_mean, mean_and_gradient
from alljax.gradients.named_parameters import by_layer, named, wide
from alljax.gradients.parameter_checks import check_same_tree
from alljax.gradients.representation_similarity import alike, centered_products
from alljax.gradients.spectrum import eigenvectors
from alljax.gradients.typing import Loss, Params, Rows

LayerOutput = Callable[[Params, Array], Array]  # (params, inputs) to what a layer gives, [N, ...]


class WatchMemory(NamedTuple):
    """Record of one look, which the next compares with."""

    gradient: Params  # of the mean loss
    direction: Params | None  # of the largest curvature; None where it was not looked for
    layers: dict[str, Float[Array, 'examples examples']]  # centered inner products of what each layer gave


class Watched(NamedTuple):
    """The numbers of one look at a training, and what the next one needs."""

    numbers: dict[str, float]
    memory: WatchMemory


def watch(
    loss: Loss, params: Params, x: Rows, y: Rows, memory: WatchMemory | None = None, *, key: Key[Array, ''],
    layers: Mapping[str, LayerOutput] | None = None, iterations: int | None = 8, batch_size: int | None = None,
) -> Watched:  # fmt: skip
    """Numbers of a training at these parameters, on the same examples at each look, and the memory for the next look.

    `loss(params, x, y)` gives a loss for each example [N]; examples are of any rank. The numbers by name:

    - 'loss', the mean; 'gradient_norm/all' and 'noise_scale/all', as `gradient_statistics` has them, and of each layer;
    - 'class_cosine/all', the mean over pairs of classes of the cosine between their mean gradients, and of each layer,
      where `y` are the integers of two classes or more;
    - 'largest_curvature', the largest eigenvalue of the Hessian, by `iterations` of Lanczos' method from where the last
      look found it; None leaves it out;
    - 'step_cosine/all', between the gradient now and that of the last look, and of each layer: with a `memory`;
    - 'cka/NAME', how alike what a layer gives is to what it gave at the last look, as `linear_cka` has it, of each of
      `layers`, functions of parameters and inputs: with a `memory`;
    - 'seconds/gradients', '/classes', '/curvature' and '/layers': what each of these cost.

    Cannot be jitted, since it measures time; what it calls is compiled once for a `loss` and its shapes. ValueError for
    a memory of other parameters or examples.

    >>> numbers, memory = gradients.watch(loss, params, x, y, key=key, iterations=4)
    >>> numbers, memory = gradients.watch(loss, params, x, y, memory, key=key, iterations=4)
    >>> round(numbers['step_cosine/all'], 3)
    1.0
    """
    if not all(known(leaf) for leaf in jax.tree.leaves((params, x, y))):
        raise ValueError('watch: params, x or y are traced; it measures time: call it outside of jit')
    check_mean('watch', loss, params, x, y, batch_size)
    check_counts('watch', iterations=iterations)
    layers = layers or {}
    if memory is not None:
        _check_memory(memory, params, len(x), layers)
    numbers: dict[str, float] = {}
    with _timed(numbers, 'gradients'):
        value, gradient = mean_and_gradient(loss, params, x, y, batch_size)
        numbers['loss'] = float(value)
        if len(x) > 1:
            for layer, found in gradient_statistics(loss, params, x, y, batch_size=batch_size).items():
                numbers[f'gradient_norm/{layer}'] = float(found.norm)
                numbers[f'noise_scale/{layer}'] = float(found.noise_scale)
        if memory is not None:
            numbers |= {f'step_cosine/{layer}': angle for layer, angle in cosines(gradient, memory.gradient).items()}
    labels = np.unique(np.asarray(y)) if np.issubdtype(y.dtype, np.integer) and y.ndim == 1 else np.zeros(0)
    if len(labels) > 1:
        with _timed(numbers, 'classes'):
            means = class_gradients(loss, params, x, y, batch_size=batch_size)
            numbers |= _class_cosines(jax.tree.map(lambda leaf: leaf[labels], means))
    direction = None if memory is None else memory.direction
    if iterations is not None:
        with _timed(numbers, 'curvature'):
            op = curvature_operator(loss=loss, params=params, x=x, y=y, batch_size=batch_size)
            values, trees = eigenvectors(op, 1, key=key, start=direction, iterations=iterations)
            numbers['largest_curvature'], direction = float(values[0]), trees[0]
    given: dict[str, Array] = {}
    if layers:
        with _timed(numbers, 'layers'):
            given = {name: centered_products(output(params, jnp.asarray(x))) for name, output in layers.items()}
            if memory is not None:
                numbers |= {f'cka/{name}': float(alike(now, memory.layers[name])) for name, now in given.items()}
    return Watched(numbers, WatchMemory(gradient, direction, given))


def _check_memory(memory: WatchMemory, params: Params, count: int, layers: Mapping[str, LayerOutput]) -> None:
    if not isinstance(memory, WatchMemory):
        raise ArgumentTypeError(f'watch: memory is {type(memory).__name__}; expected that of an earlier look')
    check_same_tree('watch', 'memory.gradient', memory.gradient, params, 'params')
    other = {name for name in layers if name not in memory.layers or len(memory.layers[name]) != count}
    if other:
        raise ValueError(
            f'watch: memory has nothing of {", ".join(sorted(other))} for these {count} examples; look at the same '
            'layers and examples each time, or begin anew with memory=None'
        )


@contextmanager
def _timed(numbers: dict[str, float], part: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    numbers[f'seconds/{part}'] = time.perf_counter() - start


@jax.jit
def _cosine(one: list[Array], other: list[Array]) -> Float[Array, '']:
    def product(a: list[Array], b: list[Array]) -> Array:
        return sum((jnp.sum(wide(x) * wide(y)) for x, y in zip(a, b, strict=True)), jnp.zeros(()))

    below = jnp.sqrt(product(one, one) * product(other, other))
    return jnp.where(below > 0, product(one, other) / jnp.where(below > 0, below, 1), 0)


def cosines(one: Params, other: Params) -> dict[str, float]:
    """Layer → cosine between its part of two gradients, and of all; 0 where one is zero."""
    first, second = named(one), named(other)
    groups = {ALL: list(first)} | by_layer(first)
    return {
        layer: float(_cosine([first[name] for name in names], [second[name] for name in names]))
        for layer, names in groups.items()
    }


def _class_cosines(means: Params) -> dict[str, float]:
    """The mean cosine over pairs of classes, by layer and of all."""
    leaves = named(means)
    groups = {ALL: list(leaves)} | by_layer(leaves)
    found = {}
    for layer, names in groups.items():
        cosine = np.asarray(gradient_similarity([leaves[name] for name in names]).cosine)
        found[f'class_cosine/{layer}'] = float(cosine[~np.eye(len(cosine), dtype=bool)].mean())
    return found
