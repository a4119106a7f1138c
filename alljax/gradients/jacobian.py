"""The Jacobian of a network's outputs to its parameters, known by its products."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_counts
from alljax.gradients.curvature import Vector, vectors_of
from alljax.gradients.curvature_matrix import chosen_leaves
from alljax.gradients.named_parameters import named, with_leaves
from alljax.gradients.network_checks import as_apply, classes
from alljax.gradients.typing import Apply, Inputs, Network, Params

Outputs = Float[Array, ' outputs']  # of all examples, one example after the other


class JacobianOperator(NamedTuple):
    """A matrix [outputs, size] that is only known by its products: `operator(vector)`, `operator.transposed(rows)`."""

    product: Callable[[Vector], Outputs]
    transposed: Callable[[Outputs], Vector]
    like: Vector  # a vector of its size and type: the parameters
    outputs: Outputs  # the network's own, of the length that `transposed` takes
    unravel: Callable[[Vector], Params]  # a vector as the tree of parameters that it stands for
    ravel: Callable[[Params], Vector]  # and back

    def __call__(self, vector: Vector) -> Outputs:
        """The matrix times a vector [size]."""
        return self.product(vector)


def jacobian_operator(
    apply: Network, params: Params, x: Inputs, *, where: str | None = None, batch_size: int | None = None
) -> JacobianOperator:
    """The Jacobian of all outputs to the parameters, as products with vectors and with its transpose.

    Its rows are the outputs of the first example, then those of the second: `rows.reshape(len(x), -1)`. `where` is as
    in `curvature_operator`, and so are the vectors of parameters. Inputs are of any rank; tokens are integers. Compiled
    once for the function and the shapes. Can be jitted, from the parameters to what is found of the operator.

    >>> op = gradients.jacobian_operator(apply, params, x)
    >>> op(op.like).shape, op.transposed(op.outputs).shape == op.like.shape
    ((12,), True)
    """
    check_counts('jacobian_operator', batch_size=batch_size)
    params, chosen = chosen_leaves('jacobian_operator', params, where)
    function = as_apply(apply)
    classes('jacobian_operator', function, params, x, tokens=True)
    names = tuple(chosen)

    def product(vector: Vector) -> Outputs:
        found: Array = batching.rows(partial(_forward, function, names, params, vector), batch_size, x)
        return found.ravel()

    def transposed(rows: Outputs) -> Vector:
        def of_batch(x: Array, back: Array, present: Array) -> Vector:
            there = jnp.where(present.reshape(-1, *[1] * (back.ndim - 1)), back, 0)
            part: Vector = _back(function, names, params, x, there)
            return part

        return batching.total(of_batch, batch_size, x, jnp.reshape(rows, shape))

    found: Array = batching.rows(partial(_outputs, function, params), batch_size, x)
    shape = found.shape
    vectors = vectors_of(params, chosen)
    assert vectors.ravel is not None
    return JacobianOperator(product, transposed, vectors.like, found.ravel(), vectors.unravel, vectors.ravel)


@partial(jax.jit, static_argnums=0)
def _outputs(apply: Apply, params: Params, x: Array) -> Array:
    return apply(params, x)


def _of_some(apply: Apply, names: tuple[str, ...], params: Params, x: Array) -> tuple[Callable[..., Array], Params]:
    """The outputs as a function of the chosen parameters, and those."""
    leaves = named(params)
    return lambda some: apply(with_leaves(params, leaves | some), x), {name: leaves[name] for name in names}


@partial(jax.jit, static_argnums=(0, 1))
def _forward(apply: Apply, names: tuple[str, ...], params: Params, vector: Vector, x: Array) -> Array:
    function, here = _of_some(apply, names, params, x)
    change: Array = jax.jvp(function, (here,), (ravel_pytree(here)[1](vector),))[1]
    return change


@partial(jax.jit, static_argnums=(0, 1))
def _back(apply: Apply, names: tuple[str, ...], params: Params, x: Array, rows: Array) -> Vector:
    function, here = _of_some(apply, names, params, x)
    outputs, back = jax.vjp(function, here)
    vector: Vector = ravel_pytree(back(rows.astype(outputs.dtype))[0])[0]
    return vector
