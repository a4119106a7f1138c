"""The Gauss-Newton matrix itself, of few parameters, by its eigenvectors."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from alljax.gradients import batching
from alljax.gradients.curvature_matrix import Curved, Matrix, columns
from alljax.gradients.named_parameters import named
from alljax.gradients.typing import Params

LARGEST = 20_000  # parameters: a matrix of them takes 1.6 GB, and its eigenvectors minutes


class FullCurvature(NamedTuple):
    """A matrix by its eigenvectors; a plain tree of arrays."""

    vectors: dict[str, Float[Array, 'size ...']]  # name of a parameter → its part of each, in the order of the values
    eigenvalues: Float[Array, ' size']


def full_curvature(function: str, curved: Curved, batch_size: int | None) -> FullCurvature:
    """The Gauss-Newton matrix of the chosen parameters; ValueError where there are too many for a matrix."""
    matrix, params, chosen, *rows = curved
    size = sum(leaf.size for leaf in chosen.values())
    if size > LARGEST:
        raise ValueError(
            f"{function}: structure is 'full' and {size:,} parameters vary, whose matrix would take "
            f"{size**2 * 4 / 1e9:,.0f} GB; name a last layer (where='params/head/.*'), or take structure='kronecker'"
        )
    total = batching.total(partial(_matrix, matrix, params), batch_size, *rows)
    values, vectors = jnp.linalg.eigh(total / len(rows[0]))
    parts, start = {}, 0
    for name, leaf in chosen.items():
        parts[name] = vectors.T[:, start : start + leaf.size].reshape(-1, *leaf.shape)
        start += leaf.size
    return FullCurvature(parts, jnp.maximum(values, 0))


def projected_outputs(
    matrix: Matrix, params: Params, curvature: FullCurvature, x: Array
) -> Float[Array, 'batch outputs size']:
    """The derivative of each example's outputs along each eigenvector."""
    return jnp.asarray(
        sum(
            jnp.tensordot(leaf, curvature.vectors[name].reshape(len(curvature.eigenvalues), -1), ((2,), (1,)))
            for name, leaf in _jacobian(matrix, params, x).items()
        )
    )


def _jacobian(matrix: Matrix, params: Params, x: Array) -> dict[str, Float[Array, 'batch outputs size']]:
    """The derivatives of each example's outputs to each of the chosen parameters, by name."""
    leaves = named(params)

    def one(x: Array) -> dict[str, Array]:
        found: dict[str, Array] = jax.jacrev(lambda some: matrix.outputs(params, some, x[None], x[None])[0])(
            {name: leaves[name] for name in matrix.names}
        )
        return {name: leaf.reshape(len(leaf), -1) for name, leaf in found.items()}

    return jax.vmap(one)(x)


@partial(jax.jit, static_argnums=0)
def _matrix(
    matrix: Matrix, params: Params, x: Array, y: Array, noise: Array, present: Array
) -> Float[Array, 'size size']:  # fmt: skip
    with jax.default_matmul_precision('highest'):
        found = _jacobian(matrix, params, x)
        jacobian = jnp.concatenate([found[name] for name in matrix.names], 2)
        ways = columns(matrix, matrix.outputs(params, {}, x, y), y, noise)
        ways = jnp.where(present[:, None], ways, 0)
        rows = jnp.einsum('knc,ncp->knp', ways, jacobian).reshape(-1, jacobian.shape[2])
        return rows.T @ rows
