"""Likeness of two representations of the same examples."""

from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from alljax.gradients.argument_checks import ArgumentTypeError, check_finite, known
from alljax.gradients.named_parameters import wide

Representation: TypeAlias = Float[Array, '_ ...'] | Float[np.ndarray, '_ ...']  # a row for each example


def linear_cka(one: Representation, other: Representation) -> Float[Array, '']:
    """Likeness of two representations of the same examples, 0 to 1: 1 if one is the other turned, moved and scaled.

    Linear centered kernel alignment (Kornblith et al. 2019, arXiv:1905.00414) of what two layers, or one at two times,
    give for each example, of any rank. Can be jitted. ValueError for other numbers of examples, fewer than two, values
    that are not finite, or a representation that is the same for all examples.

    >>> features = gradients.layer_output(model, variables, x, 'stem')
    >>> round(float(gradients.linear_cka(features, 2 * features + 1)), 3)
    1.0
    """
    for name, values in (('one', one), ('other', other)):
        _check_representation(name, values)
    if len(one) != len(other):
        raise ValueError(f'linear_cka: one has {len(one)} examples, other {len(other)}; expected the same examples')
    found: Array = alike(centered_products(jnp.asarray(one)), centered_products(jnp.asarray(other)))
    if known(found) and not bool(jnp.isfinite(found)):
        raise ValueError('linear_cka: one or other is the same for all examples, and so like none')
    return found


@jax.jit
def centered_products(values: Float[Array, 'examples ...']) -> Float[Array, 'examples examples']:
    """The inner products between examples, whose mean is taken off."""
    flat = wide(values).reshape(len(values), -1)
    flat = flat - flat.mean(0)
    found: Array = flat @ flat.T
    return found


@jax.jit
def alike(one: Float[Array, 'examples examples'], other: Float[Array, 'examples examples']) -> Float[Array, '']:
    """The cosine between two such tables: not a number where one is zero."""
    one, other = one / jnp.linalg.norm(one), other / jnp.linalg.norm(other)
    return jnp.sum(one * other)


def _check_representation(name: str, values: Representation) -> None:
    if not hasattr(values, 'shape') or not jnp.issubdtype(values.dtype, jnp.floating):
        kind = getattr(values, 'dtype', type(values).__name__)
        raise ArgumentTypeError(f'linear_cka: {name} is {kind}; expected floats, a row for each example')
    if values.ndim < 1 or len(values) < 2:
        raise ValueError(f'linear_cka: {name} is of shape {values.shape}; expected two examples or more')
    check_finite('linear_cka', name, values)
