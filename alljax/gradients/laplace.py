"""Laplace's approximation: a normal distribution of the parameters around those that were trained, and its predictions.

MacKay 1992; Daxberger et al. 2021 (arXiv:2106.14806) for last layers, Ritter et al. 2018 for Kronecker factors, Immer
et al. 2021 for the marginal likelihood (arXiv:2104.04975) and the linearized predictions (arXiv:2008.08400).
"""

from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import ArgumentTypeError, check_counts, check_not_negative, known
from alljax.gradients.curvature_matrix import Asked, Matrix, checked, cross_entropy
from alljax.gradients.full_curvature import FullCurvature, full_curvature, projected_outputs
from alljax.gradients.kronecker_curvature import KroneckerFactors, factors_of, require_layers
from alljax.gradients.named_parameters import named, widened
from alljax.gradients.network_checks import as_apply, classes
from alljax.gradients.parameter_checks import check_params
from alljax.gradients.squared_gradients import Batch, kernels, of_others, passed, sides
from alljax.gradients.typing import Inputs, Network, Params, Target

LOWEST, HIGHEST, POINTS = -6.0, 8.0, 141  # powers of ten among which the prior's precision is looked for
STRUCTURES = ('kronecker', 'full')
RULES = ('probit', 'sampled')

Curvature = KroneckerFactors | FullCurvature


class LaplaceApproximation(NamedTuple):
    """A normal distribution of parameters around those that were trained; a plain tree of arrays.

    Its precision is examples × curvature + the precision of the prior.
    """

    curvature: Curvature  # of the mean loss
    examples: Float[Array, '']  # how many it was seen on
    precision: Float[Array, '']  # of the prior, a normal distribution around zero
    evidence: Float[Array, '']  # the logarithm of the marginal likelihood, in nats


class LaplacePrediction(NamedTuple):
    """A prediction that knows how far the parameters are known."""

    probability: Float[Array, 'batch classes']
    logits: Float[Array, 'batch classes']  # of the parameters as they were trained
    covariance: Float[Array, 'batch classes classes']  # of the logits


def laplace_approximation(
    apply: Network, params: Params, x: Inputs, y: Target, *, structure: Literal['kronecker', 'full'] = 'kronecker',
    corrected: bool = False, prior_precision: float | Float[Array, ''] | None = None, where: str | None = None,
    batch_size: int | None = None,
) -> LaplaceApproximation:  # fmt: skip
    """The normal distribution of parameters around trained ones that the curvature on the training examples leaves.

    `where` is a regular expression over whole parameter names: of a last layer as 'params/head/.*', or all by default;
    the others are taken as known. The curvature is the Gauss-Newton matrix of the cross-entropy: 'kronecker', as of
    `kronecker_factors`, with `corrected` eigenvalues if asked for, or 'full', for up to some thousand parameters and
    any network. `prior_precision` is that of a normal prior around zero (a weight decay of precision / examples of the
    mean loss), by default the one of largest marginal likelihood. Inputs are of any rank; `y` are their classes. Can be
    jitted.

    >>> posterior = gradients.laplace_approximation(model, variables, x, y, where='params/head/.*')
    >>> found = gradients.laplace_predict(model, variables, x, posterior)
    """
    if structure not in STRUCTURES:
        raise ValueError(
            f'laplace_approximation: structure is {structure!r}; it may be {", ".join(map(repr, STRUCTURES))}'
        )
    if prior_precision is not None:
        check_not_negative('laplace_approximation', prior_precision=prior_precision)
        if known(prior_precision) and not np.asarray(prior_precision) > 0:
            raise ValueError('laplace_approximation: prior_precision is 0; expected above 0, or None to have it chosen')
    asked = Asked(apply, params, x, y, None, None, 'ggn', where, batch_size, None, 1)
    curved = checked('laplace_approximation', asked)
    if structure == 'full':
        curvature: Curvature = full_curvature('laplace_approximation', curved, batch_size)
    else:
        require_layers('laplace_approximation', curved, "name the last layer with where= and take structure='full'")
        curvature = factors_of(curved, batch_size, corrected=corrected)
    likelihood = -batching.total(partial(_cross_entropy, curved.matrix, curved.params), batch_size, x, curved.y)
    square = jnp.asarray(sum(jnp.sum(leaf**2) for leaf in curved.chosen.values()))
    values = len(x) * jnp.concatenate([part.ravel() for part in jax.tree.leaves(_eigenvalues(curvature))])
    precision = _best(values, square) if prior_precision is None else jnp.asarray(prior_precision, values.dtype)
    evidence = likelihood + _evidence(values, square, jnp.log(precision))
    return LaplaceApproximation(curvature, jnp.asarray(len(x), values.dtype), precision, evidence)


def laplace_predict(
    apply: Network, params: Params, x: Inputs, posterior: LaplaceApproximation, *,
    rule: Literal['probit', 'sampled'] = 'probit', key: Key[Array, ''] | None = None, samples: int = 100,
    batch_size: int | None = None,
) -> LaplacePrediction:  # fmt: skip
    """Probabilities from logits that have a normal distribution: those of the network, linear in its parameters.

    `apply` and `params` are those that the posterior was found with. 'probit' divides each logit by √(1 + π/8 ×
    variance) (MacKay 1992; off-diagonal covariances do not count); 'sampled' is the mean softmax of `samples` logits
    for each example, drawn with `key`. Inputs are of any rank. Can be jitted.

    >>> posterior = gradients.laplace_approximation(model, variables, x, y, where='params/head/.*')
    >>> gradients.laplace_predict(model, variables, x, posterior, rule='sampled', key=key).probability.shape
    (4, 3)
    """
    function = as_apply(apply)
    if not isinstance(posterior, LaplaceApproximation):
        raise ArgumentTypeError(
            f'laplace_predict: posterior is {type(posterior).__name__}; expected that of laplace_approximation'
        )
    if rule not in RULES:
        raise ValueError(f'laplace_predict: rule is {rule!r}; it may be {", ".join(map(repr, RULES))}')
    if rule == 'sampled' and key is None:
        raise ValueError('laplace_predict: key is None; samples are drawn: give key=jax.random.key(0)')
    check_counts('laplace_predict', samples=samples, batch_size=batch_size)
    check_params('laplace_predict', params)
    classes('laplace_predict', function, params, x, tokens=True)
    params = widened(params)
    names = _names(posterior.curvature)
    absent = [name for name in names if name not in named(params)]
    if absent:
        raise ValueError(f'laplace_predict: posterior has {absent[0]}, which params has not; expected the same network')
    matrix = Matrix('ggn', names, function, cross_entropy)
    logits, covariance = batching.rows(partial(_distribution, matrix, params, posterior), batch_size, x)
    if rule == 'probit' or key is None:
        variance = jnp.diagonal(covariance, axis1=1, axis2=2)
        return LaplacePrediction(jax.nn.softmax(logits / jnp.sqrt(1 + np.pi / 8 * variance)), logits, covariance)
    noise = jax.random.normal(key, (samples, *logits.shape), logits.dtype)
    return LaplacePrediction(_mean_softmax(logits, covariance, noise), logits, covariance)


def _names(curvature: Curvature) -> tuple[str, ...]:
    if isinstance(curvature, FullCurvature):
        return tuple(curvature.vectors)
    return tuple(name for names in curvature.layers for name in names) + tuple(curvature.diagonal)


def _eigenvalues(curvature: Curvature) -> list[Array]:
    if isinstance(curvature, FullCurvature):
        return [curvature.eigenvalues]
    return [layer.eigenvalues for layer in curvature.layers.values()] + list(curvature.diagonal.values())


@partial(jax.jit, static_argnums=0)
def _cross_entropy(matrix: Matrix, params: Params, x: Array, y: Array, present: Array) -> Float[Array, '']:
    assert matrix.apply is not None
    return jnp.sum(jnp.where(present, cross_entropy(matrix.apply(params, x), y), 0))


@jax.jit
def _evidence(values: Array, square: Array, logarithm: Array) -> Float[Array, '']:
    """The logarithm of the marginal likelihood beside the likelihood of the trained parameters."""
    precision = jnp.exp(logarithm)
    return -0.5 * (precision * square - values.size * logarithm + jnp.sum(jnp.log(values + precision)))


@jax.jit
def _best(values: Array, square: Array) -> Float[Array, '']:
    """The precision of largest evidence: the best of a grid, and of a finer one around it."""

    def best(grid: Array) -> Array:
        return grid[jnp.argmax(jax.lax.map(lambda at: _evidence(values, square, at), grid))]

    coarse = jnp.linspace(LOWEST, HIGHEST, POINTS, dtype=values.dtype) * np.log(10)
    step = coarse[1] - coarse[0]
    logarithm = best(coarse)
    return jnp.exp(best(logarithm + step * jnp.linspace(-1, 1, POINTS, dtype=values.dtype)))


@partial(jax.jit, static_argnums=0)
def _distribution(matrix: Matrix, params: Params, posterior: LaplaceApproximation, x: Array) -> tuple[Array, Array]:
    """The logits [batch, classes] and their covariances."""
    assert matrix.apply is not None
    curvature, examples, precision, _ = posterior
    logits = matrix.apply(params, x)
    with jax.default_matmul_precision('highest'):
        if isinstance(curvature, FullCurvature):
            found = projected_outputs(matrix, params, curvature, x)
            share = 1 / (examples * curvature.eigenvalues + precision)
            return logits, jnp.einsum('ncd,d,nkd->nck', found, share, found)
        shape = (logits.shape[1], *logits.shape)
        ways = jnp.broadcast_to(jnp.eye(logits.shape[1], dtype=logits.dtype)[:, None], shape)
        batch = Batch(x, jnp.zeros(len(x), int), jnp.zeros((len(x), 0)), jnp.ones(len(x), bool))
        there = passed(matrix, params, batch, ways)
        places = kernels(there.layers, matrix.names)
        covariance = jnp.zeros((), logits.dtype)
        for names, layer in curvature.layers.items():
            inputs, back = sides(there, places[names], bias=len(names) > 1)
            inputs, back = inputs @ layer.inputs, back @ layer.outputs
            share = 1 / (examples * layer.eigenvalues + precision)
            if inputs.shape[2] == 1:  # an outer product for each example
                by_output = jnp.einsum('ngi,gio->ngo', inputs[:, :, 0] ** 2, share)
                covariance += jnp.einsum('cngo,kngo,ngo->nck', back[:, :, :, 0], back[:, :, :, 0], by_output)
            else:
                whole = jnp.einsum('ngti,cngto->cngio', inputs, back)
                covariance += jnp.einsum('cngio,kngio,gio->nck', whole, whole, share)
        rest = of_others(matrix, params, there, batch, list(curvature.diagonal))
        for name, found in rest.items():
            share = 1 / (examples * curvature.diagonal[name] + precision)
            covariance += jnp.einsum('cnd,knd,d->nck', found, found, share)
        return logits, covariance


@jax.jit
def _mean_softmax(logits: Array, covariance: Array, noise: Array) -> Float[Array, 'batch classes']:
    values, vectors = jnp.linalg.eigh(covariance)
    roots = vectors * jnp.sqrt(jnp.maximum(values, 0))[:, None]
    return jnp.mean(jax.nn.softmax(logits + jnp.einsum('nij,snj->sni', roots, noise)), 0)
