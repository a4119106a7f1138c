"""Concept activation vectors: how much a class depends on what a set of images has in common, and by chance or not."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_counts, check_inputs, check_not_negative
from alljax.gradients.intermediates import layer_gradient, layer_output, resolve_layer
from alljax.gradients.network_checks import prepare
from alljax.gradients.typing import Apply, Inputs, Network, Params, Rows, Target

LEAST_RIDGE = 1e-30  # of outputs that are all alike, which no direction tells apart
LEAST = 4  # random images, so that two sets of two can be drawn


class ConceptVector(NamedTuple):
    """The direction in a layer from other images to those of a concept, and how well it tells them apart."""

    direction: Float[Array, '...']  # in the shape of the layer's output for one input, of length 1
    accuracy: Float[Array, '']  # on examples left out one at a time: 0.5 is chance


class ConceptTest(NamedTuple):
    """The share of inputs whose logit rises along a concept, and along chance."""

    score: Float[Array, '']  # the share of inputs whose logit rises along the concept, a mean over runs
    by_chance: Float[Array, '']  # the same along random images
    p_value: Float[Array, '']  # of the difference, by Welch's two-sided t-test over runs
    accuracy: Float[Array, '']  # with which the layer tells the concept from random images, a mean over runs
    scores: Float[Array, ' runs']
    chance_scores: Float[Array, ' runs']


def concept_vector(concept: Rows, other: Rows, *, ridge: float = 0.01) -> ConceptVector:
    """The direction that tells a layer's outputs for a concept from those for other images (Kim et al. 2018).

    A linear classifier by least squares on ±1, `ridge` times the mean squared length of an example added to its
    diagonal; the accuracy is exact leave-one-out. Outputs are of any rank, as of `layer_output`. Can be jitted.
    ValueError for outputs of different shapes.

    >>> gradients.concept_vector(x[:2], x[2:]).direction.shape
    (8, 8, 3)
    """
    for name, part in (('concept', concept), ('other', other)):
        check_inputs('concept_vector', part, name)
    check_not_negative('concept_vector', ridge=ridge)
    if concept.shape[1:] != other.shape[1:] or len(concept) + len(other) < 3:
        raise ValueError(
            f'concept_vector: concept and other are {tuple(concept.shape)} and {tuple(other.shape)}; expected rows '
            'alike, three or more together'
        )
    rows = jnp.concatenate([jnp.asarray(part).reshape(len(part), -1) for part in (concept, other)])
    labels = jnp.concatenate([jnp.ones(len(concept), rows.dtype), -jnp.ones(len(other), rows.dtype)])
    direction, accuracy = _classifier(rows, labels, ridge)
    return ConceptVector(direction.reshape(concept.shape[1:]), accuracy)


def tcav(
    apply: Network, params: Params, x: Inputs, target: Target, *, concept: Rows, random: Rows,
    key: Key[Array, ''], layer: str | None = None, runs: int = 20, ridge: float = 0.01, batch_size: int | None = None,
) -> ConceptTest:  # fmt: skip
    """The share of inputs whose logit rises towards a concept, tested against chance (TCAV, Kim et al. 2018).

    arXiv:1711.11279. `concept` are images that share something, `random` others that share nothing, `x` images of the
    class `target`. Each run draws two sets of `random` without a common image, as many as there are of the concept, or
    half of them: the concept is told from one, and so is the other set, which gives the score by chance. A concept
    counts if the p value is small, a Bonferroni correction made for as many concepts as are tried, and if the layer
    tells it from random images at all. `layer` is named as in `layer_output`; inputs are of any rank. Can be jitted.
    ValueError for inputs of another shape, or fewer than four random ones.

    >>> found = gradients.tcav(model, variables, x, 1, layer='stem', concept=x[:2], random=x, key=key, runs=3)
    >>> found.scores.shape
    (3,)
    """
    check_counts('tcav', runs=runs, batch_size=batch_size)
    check_not_negative('tcav', ridge=ridge)
    function, wanted = prepare('tcav', apply, params, x, target, tokens=True)
    layer = resolve_layer('tcav', function, layer)
    for name, part in (('concept', concept), ('random', random)):
        check_inputs('tcav', part, name, tokens=True)
        if part.shape[1:] != x.shape[1:]:
            raise ValueError(f'tcav: {name} is {tuple(part.shape)}; expected rows like those of x, {tuple(x.shape)}')
    if len(random) < LEAST or runs < 2:
        raise ValueError(f'tcav: {len(random)} random inputs and {runs} runs; expected {LEAST} and 2 at least')
    outputs = [batching.rows(lambda part: layer_output(function, params, part, layer), batch_size, part)
               for part in (concept, random)]  # fmt: skip
    slopes = batching.rows(partial(_layer_gradient, function, params, layer=layer), batch_size, x, wanted)
    rows = [part.reshape(len(part), -1) for part in (*outputs, slopes)]
    found: ConceptTest = _test(rows[0], rows[1], rows[2], key, runs, ridge)
    return found


@partial(jax.jit, static_argnames=('apply', 'layer'))
def _layer_gradient(apply: Apply, params: Params, x: Array, wanted: Int[Array, ' batch'], layer: str) -> Array:
    return layer_gradient(apply, params, x, wanted, layer)[0]


@jax.jit
def _classifier(
    rows: Float[Array, 'examples features'], labels: Float[Array, ' examples'], ridge: float | Float[Array, '']
) -> tuple[Float[Array, ' features'], Float[Array, '']]:
    """The unit normal of a linear classifier with an offset, and its leave-one-out accuracy."""
    centered = rows - rows.mean(0)
    products = centered @ centered.T
    size = len(rows)
    ridged = products + (ridge * jnp.trace(products) / size + LEAST_RIDGE) * jnp.eye(size, dtype=rows.dtype)
    inverse = jnp.linalg.inv(ridged)
    # the offset is the direction in which the centered products are zero: it is taken out of the inverse
    ones = inverse.sum(1)
    inverse = inverse - jnp.outer(ones, ones) / ones.sum()
    dual = inverse @ labels
    direction = centered.T @ dual
    left_out = labels - dual / jnp.diag(inverse)
    return direction / jnp.linalg.norm(direction), (left_out * labels > 0).mean(dtype=rows.dtype)


@partial(jax.jit, static_argnums=4)
def _test(
    concept: Float[Array, 'examples features'], random: Float[Array, 'others features'],
    slopes: Float[Array, 'batch features'], key: Key[Array, ''], runs: int, ridge: float | Float[Array, ''],
) -> ConceptTest:  # fmt: skip
    drawn = min(len(concept), len(random) // 2)
    labels = [
        jnp.concatenate([jnp.ones(size), -jnp.ones(drawn)]).astype(random.dtype) for size in (len(concept), drawn)
    ]

    def share(direction: Array) -> Array:
        rises = (slopes @ direction > 0).mean(dtype=slopes.dtype)
        return jnp.where(jnp.isfinite(direction).all(), rises, jnp.nan)  # outputs all alike have no direction

    def run(number: Int[Array, '']) -> tuple[Array, Array, Array]:
        order = jax.random.permutation(jax.random.fold_in(key, number), len(random))
        one, two = random[order[:drawn]], random[order[drawn : 2 * drawn]]
        direction, accuracy = _classifier(jnp.concatenate([concept, one]), labels[0], ridge)
        by_chance, _ = _classifier(jnp.concatenate([two, one]), labels[1], ridge)
        return share(direction), share(by_chance), accuracy

    scores, chance, accuracy = jax.lax.map(run, jnp.arange(runs))
    return ConceptTest(scores.mean(), chance.mean(), welch_p_value(scores, chance), accuracy.mean(), scores, chance)


def welch_p_value(one: Float[Array, ' runs'], other: Float[Array, ' others']) -> Float[Array, '']:
    """The p value of Welch's two-sided t-test; 0 or 1 where neither varies."""
    parts = [sample.var(ddof=1) / len(sample) for sample in (one, other)]
    squared, far = parts[0] + parts[1], one.mean() - other.mean()
    below = parts[0] ** 2 / (len(one) - 1) + parts[1] ** 2 / (len(other) - 1)
    varies = squared > 0
    freedom = jnp.where(varies, squared, 1) ** 2 / jnp.where(varies, below, 1)
    ratio = freedom / (freedom + far**2 / jnp.where(varies, squared, 1))
    tail: Array = jax.scipy.special.betainc(freedom / 2, jnp.asarray(0.5, ratio.dtype), ratio)
    return jnp.where(varies, tail, (far == 0).astype(tail.dtype))
