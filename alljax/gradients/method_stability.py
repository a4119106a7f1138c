"""Tests of an attribution method: its maps for changed inputs, and for another class."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_counts, check_method_result, check_not_negative
from alljax.gradients.network_checks import classes, prepare
from alljax.gradients.noisy_maps import asked_of, noisy_maps
from alljax.gradients.typing import Inputs, Method, Network, Params, Target

LEAST = 1e-6  # in place of a zero that is divided by, as in quantus
WINDOW = 7  # values, of the structural similarity
C1, C2 = 0.01**2, 0.03**2  # of Wang et al. 2004, times the squared range


def relative_input_stability(
    method: Method, apply: Network, params: Params, x: Inputs, target: Target, *, key: Key[Array, ''],
    radius: float = 0.02, samples: int = 10, **options: Any,
) -> Float[Array, ' batch']:  # fmt: skip
    """The largest relative change of a method's map over that of the input (Agarwal et al. 2022, arXiv:2203.06877).

    The maximum over uniform noise up to `radius` that leaves the predicted class as it is, of |(map − map′) / map| over
    |(x − x′) / x|, a zero that is divided by taken for 1e-6 (equation 2, as quantus has it). NaN where the noise always
    changes the class. `options` go to the method. Inputs are floats of any rank. Can be jitted where the method can.

    >>> gradients.relative_input_stability(gradients.saliency, apply, params, x, y, key=key, samples=2).shape
    (4,)
    """
    return _stability('relative_input_stability', method, (apply, params, x, target), key, (radius, samples), options)


def relative_output_stability(
    method: Method, apply: Network, params: Params, x: Inputs, target: Target, *, key: Key[Array, ''],
    radius: float = 0.02, samples: int = 10, **options: Any,
) -> Float[Array, ' batch']:  # fmt: skip
    """The same as `relative_input_stability` over the change of the logits |h(x) − h(x′)|, which is not relative.

    Equation 5 of the same paper, as quantus has it. Inputs are floats of any rank. Can be jitted where the method can.

    >>> gradients.relative_output_stability(gradients.saliency, apply, params, x, y, key=key, samples=2).shape
    (4,)
    """
    return _stability('relative_output_stability', method, (apply, params, x, target), key, (radius, samples), options)


def random_logit(
    method: Method, apply: Network, params: Params, x: Inputs, target: Target, *, key: Key[Array, ''], **options: Any
) -> Float[Array, ' batch']:
    """The structural similarity of a method's map to that for another class, drawn at random.

    Sixt et al. 2020 (arXiv:1912.09818): near 1 for a method that shows the same for every class. The similarity is
    that of Wang et al. 2004 over windows of 7 values of the map in one row, as quantus has it. `options` go to the
    method; inputs are of any rank that it takes. Can be jitted where the method can. ValueError for a network of one
    output, or a map of fewer than 7 values.

    >>> gradients.random_logit(gradients.saliency, apply, params, x, y, key=key).shape
    (4,)
    """
    function, wanted = prepare('random_logit', apply, params, x, target, tokens=True)
    count = classes('random_logit', function, params, x, tokens=True)
    if count < 2:
        raise ValueError('random_logit: the network has one output; expected two classes or more')
    other = (wanted + jax.random.randint(key, wanted.shape, 1, count)) % count

    def flat(target: Array) -> Array:
        found = check_method_result('random_logit', method(apply, params, x, target, **options), x).map
        return jnp.asarray(found).reshape(len(x), -1)

    return structural_similarity(flat(wanted), flat(other))


def structural_similarity(
    one: Float[Array, 'batch values'], other: Float[Array, 'batch values']
) -> Float[Array, ' batch']:  # fmt: skip
    """The mean structural similarity of two rows over windows of 7 values, their common range taken for the scale."""
    if one.shape[1] < WINDOW:
        raise ValueError(f'random_logit: maps have {one.shape[1]} values; expected {WINDOW} or more')
    scale = jnp.maximum(one.max(1), other.max(1)) - jnp.minimum(one.min(1), other.min(1))

    def windows(values: Array) -> Array:
        return jnp.stack([values[:, at : at + one.shape[1] - WINDOW + 1] for at in range(WINDOW)])

    ones, others = windows(one), windows(other)
    means = ones.mean(0), others.mean(0)
    variances = ones.var(0, ddof=1), others.var(0, ddof=1)
    together = ((ones - means[0]) * (others - means[1])).sum(0) / (WINDOW - 1)
    c1, c2 = (constant * scale[:, None] ** 2 for constant in (C1, C2))
    above = (2 * means[0] * means[1] + c1) * (2 * together + c2)
    below = (means[0] ** 2 + means[1] ** 2 + c1) * (variances[0] + variances[1] + c2)
    similarity: Array = (above / below).mean(1)
    return similarity


def _stability(
    name: str, method: Method, given: tuple[Network, Params, Inputs, Target], key: Key[Array, ''],
    settings: tuple[float, int], options: dict[str, Any],
) -> Float[Array, ' batch']:  # fmt: skip
    apply, params, x, target = given
    radius, samples = settings
    check_counts(name, samples=samples)
    check_not_negative(name, radius=radius)
    function, _ = prepare(name, apply, params, x, target)
    asked, x = asked_of(name, method, (apply, params, target), options), jnp.asarray(x)
    logits_of = partial(batching.rows, partial(_outputs, function, params), asked.options.get('batch_size'))
    still, logits, rows = asked.maps(x), logits_of(x), x.reshape(len(x), -1)
    worst = jnp.full(len(x), jnp.nan, still.dtype)
    for moved, maps in noisy_maps(asked, x, key, radius, samples):
        after = logits_of(moved.reshape(-1, *x.shape[1:])).reshape(-1, *logits.shape)
        change = _relative(still, maps)
        if name == 'relative_input_stability':
            cause = _relative(rows, moved.reshape(*moved.shape[:2], -1))
        else:
            cause = jnp.linalg.norm(logits - after, axis=2)
        same = logits.argmax(1) == after.argmax(2)
        ratio = jnp.where(same, change / jnp.where(cause == 0, LEAST, cause), jnp.nan)
        worst = jnp.fmax(worst, jnp.nanmax(ratio, 0))
    return worst


def _relative(
    one: Float[Array, 'batch values'], other: Float[Array, '*samples batch values']
) -> Float[Array, '*samples batch']:
    change: Array = jnp.linalg.norm((one - other) / jnp.where(one == 0, LEAST, one), axis=-1)
    return change


@partial(jax.jit, static_argnums=0)
def _outputs(apply: Any, params: Params, x: Array) -> Float[Array, 'batch outputs']:
    """All that a network gives for each input; of one output, a row of it alone."""
    outputs: Array = apply(params, x)
    return outputs.reshape(len(x), -1)
