"""Scores of measures of influence: do they foretell what retraining shows, and do they find wrong labels?"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from alljax.gradients.argument_checks import ArgumentTypeError, check_finite, is_array, known
from alljax.gradients.typing import Number, Rows

Z = 1.959964  # of a normal distribution lie 95 % within so many deviations


class Detection(NamedTuple):
    """The success of a score at finding wrong labels, with intervals of 95 %."""

    auc: Float[Array, '']  # the chance that a wrong label has a greater score than a right one
    auc_low: Float[Array, '']
    auc_high: Float[Array, '']
    precision: Float[Array, '']  # the part of wrong labels among the examples of the greatest scores
    precision_low: Float[Array, '']
    precision_high: Float[Array, '']
    first: int  # how many those are


def linear_datamodeling_score(influence: Rows, subsets: Rows, outputs: Rows) -> Float[Array, ' test']:
    """The rank correlation of summed influences and what retraining on subsets gave (arXiv:2303.14186, section 3).

    `influence` [test, N] of training examples; `subsets` [subsets, N] say which examples each has; `outputs` [subsets,
    test] are what was measured after training on each, as of `subset_margins`. For each test example the correlation
    over subsets, 1 if the sums of influences rank the subsets as retraining does; NaN where either is constant. Tables
    of rank 2. Can be jitted.

    >>> half = jnp.array([[True, True, False, False], [False, True, True, False], [False, False, True, True]])
    >>> gradients.linear_datamodeling_score(jnp.eye(4), half, half * 1.0)[1]
    Array(1., dtype=float32)
    """
    name = 'linear_datamodeling_score'
    for argument, values in (('influence', influence), ('subsets', subsets), ('outputs', outputs)):
        if not is_array(values) or values.ndim != 2 or 0 in values.shape:
            raise ArgumentTypeError(f'{name}: {argument} is {np.shape(values)}; expected a table of rank 2')
        check_finite(name, argument, values)
    if influence.shape[1] != subsets.shape[1] or outputs.shape != (len(subsets), len(influence)):
        raise ValueError(
            f'{name}: influence is {influence.shape}, subsets {subsets.shape} and outputs {outputs.shape}; expected '
            '[test, N], [subsets, N] and [subsets, test]'
        )
    if known(subsets) and np.asarray(subsets).min() < 0:
        raise ValueError(f'{name}: subsets go down to {np.asarray(subsets).min()}; expected 0 or more')
    if len(subsets) < 3:
        raise ValueError(f'{name}: subsets are {len(subsets)}, which have no correlation; expected 3 or more')
    sums = jnp.asarray(influence) @ jnp.asarray(subsets, influence.dtype).T
    return jax.vmap(_rank_correlation)(sums, jnp.asarray(outputs).T)


def mislabel_detection(scores: Rows, mislabeled: Rows, *, share: Number = 0.05) -> Detection:
    """The success of `scores` [N] at finding the `mislabeled` [N], known here: greater should be more suspect.

    The area under the ROC curve with the interval of DeLong et al. (1988), and the precision among the first `share` of
    the examples with Wilson's; ties count half, and at the end of the first examples as chance would take them. Vectors
    of rank 1. Can be jitted. ValueError unless there are wrong labels and right ones.

    >>> gradients.mislabel_detection(jnp.array([3.0, 1.0, 2.0]), jnp.array([True, False, False]), share=0.3).auc
    Array(1., dtype=float32)
    """
    name = 'mislabel_detection'
    for argument, values in (('scores', scores), ('mislabeled', mislabeled)):
        if not is_array(values) or values.ndim != 1 or not len(values):
            raise ArgumentTypeError(f'{name}: {argument} is {np.shape(values)}; expected a vector [N]')
        check_finite(name, argument, values)
    if len(scores) != len(mislabeled):
        raise ValueError(f'{name}: scores and mislabeled have {len(scores)} and {len(mislabeled)} rows')
    if known(share) and not 0 < share <= 1:
        raise ValueError(f'{name}: share is {share}; expected a part of the examples, above 0 and up to 1')
    if known(mislabeled) and len(np.unique(np.asarray(mislabeled, bool))) < 2:
        raise ValueError(f'{name}: mislabeled are all or none; expected some of the examples')
    first = int(np.ceil(share * len(scores) - 1e-9))
    return _detection(jnp.asarray(scores, float), jnp.asarray(mislabeled, bool), first)


def _detection(scores: Float[Array, ' examples'], wrong: Array, first: int) -> Detection:
    above = jnp.heaviside(scores[:, None] - scores, 0.5)  # [n, m]: n has the greater score
    positives, negatives = jnp.sum(wrong), jnp.sum(~wrong)
    of_wrong = jnp.sum(above * ~wrong, 1) / negatives  # for each wrong label, the part of the right ones below it
    of_right = jnp.sum(above * wrong[:, None], 0) / positives
    auc = jnp.sum(of_wrong * wrong) / positives
    spread = _variance(of_wrong, wrong, auc) / positives + _variance(of_right, ~wrong, auc) / negatives
    margin = Z * jnp.sqrt(spread)
    edge = -jnp.sort(-scores)[first - 1]
    inside, tied = scores > edge, scores == edge
    share_of_tied = (first - jnp.sum(inside)) / jnp.sum(tied)
    precision = (jnp.sum(wrong & inside) + share_of_tied * jnp.sum(wrong & tied)) / first
    middle = (precision + Z**2 / (2 * first)) / (1 + Z**2 / first)
    half = Z / (1 + Z**2 / first) * jnp.sqrt(precision * (1 - precision) / first + Z**2 / (4 * first**2))
    low, high = jnp.clip(jnp.stack([auc - margin, auc + margin]), 0, 1)
    bounds = jnp.where(precision > 0, middle - half, 0), jnp.where(precision < 1, middle + half, 1)
    return Detection(auc, low, high, precision, *bounds, first=first)


def _variance(values: Array, chosen: Array, mean: Array) -> Float[Array, '']:
    return jnp.sum(jnp.where(chosen, values - mean, 0) ** 2) / jnp.maximum(jnp.sum(chosen) - 1, 1)


def _rank_correlation(one: Float[Array, ' n'], other: Float[Array, ' n']) -> Float[Array, '']:
    """Spearman's: ties have the mean of their ranks."""
    first, second = (jnp.sum(jnp.heaviside(v[:, None] - v, 0.5), 1) - len(v) / 2 for v in (one, other))
    return first @ second / jnp.sqrt((first @ first) * (second @ second))
