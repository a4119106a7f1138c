"""The curvature of the loss: products with Hessian, Gauss-Newton and Fisher matrices, which `spectrum` makes use of."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Key

from alljax.gradients import batching
from alljax.gradients.curvature_matrix import Asked, Kind, Matrix, checked, columns
from alljax.gradients.named_parameters import named, with_leaves
from alljax.gradients.typing import Loss, Network, OutputLoss, Params

Vector = Float[Array, ' size']


class Operator(NamedTuple):
    """A symmetric matrix that is only known by its products: `operator(vector)`."""

    product: Callable[[Vector], Vector]
    like: Vector  # a vector of its size and type: the parameters
    unravel: Callable[[Vector], Params]  # a vector as the tree of parameters that it stands for
    ravel: Callable[[Params], Vector] | None = None  # and back

    def __call__(self, vector: Vector) -> Vector:
        """The matrix times a vector [size]."""
        return self.product(vector)


class Batch(NamedTuple):
    """Some examples; those that only fill the batch are not present."""

    x: Float[Array, 'batch ...']
    y: Float[Array, 'batch ...']
    noise: Float[Array, 'batch samples ...']
    present: Bool[Array, ' batch']
    weight: float | Float[Array, '']  # of each example's loss


def curvature_operator(
    apply: Network | None = None, params: Params = None, x: Any = None, y: Any = None, *,
    loss: Loss | None = None, output_loss: OutputLoss | None = None, kind: Kind = 'hessian',
    key: Key[Array, ''] | None = None, samples: int = 1, where: str | None = None, batch_size: int | None = None,
) -> Operator:  # fmt: skip
    """The curvature of the mean loss over examples `x` with labels `y`, as products with vectors.

    The loss is the cross-entropy of the logits of `apply`; or `output_loss(outputs, y)` of its outputs, whatever they
    are, as in a regression; or, without `apply`, any `loss(params, x, y)`. Each gives a loss for each example [batch].
    Examples are of any rank; tokens are integers.

    'hessian' is that of the loss; 'ggn' the Gauss-Newton matrix, which for cross-entropy is the Fisher matrix of the
    network's own predictions, and needs `apply`; 'sampled_fisher' an estimate of that from `samples` labels for each
    example, which `key` draws from its prediction (for another loss, the gradients to the outputs are drawn from the
    normal distribution whose covariance is the loss's Hessian: that of a regression's labels); 'fisher' the empirical
    Fisher matrix, the mean of g gᵀ over the gradients of single examples.

    `where` is a regular expression over whole parameter names ('head/.*'): only those vary. Vectors hold the chosen
    parameters in the order of the tree. Parameters of half precision (bfloat16, float16) are taken in float32: Lanczos'
    method needs the digits. Compiled once for the functions and the shapes. Can be jitted, from the parameters to what
    is found of the operator. ValueError for an unknown kind, a pattern that matches no name, or a label that the
    network does not have.

    >>> op = gradients.curvature_operator(apply, params, x, y, kind='ggn')
    >>> op = gradients.curvature_operator(loss=loss, params=params, x=x, y=y, batch_size=2)
    >>> bool(op(op.like).shape == op.like.shape)
    True
    """
    asked = Asked(apply, params, x, y, loss, output_loss, kind, where, batch_size, key, samples)
    matrix, params, chosen, x, y, noise = checked('curvature_operator', asked)
    weight = 1 / len(x)

    def product(vector: Vector) -> Vector:
        def of_batch(x: Array, y: Array, noise: Array, present: Array) -> Vector:
            part: Vector = _product(params, vector, Batch(x, y, noise, present, weight), matrix)
            return part

        return batching.total(of_batch, batch_size, x, y, noise)

    return vectors_of(params, chosen)._replace(product=product)


def vectors_of(params: Params, chosen: dict[str, Array]) -> Operator:
    """The vectors that hold the chosen parameters, and the trees that they stand for; its product is the identity."""
    flat, unravel = ravel_pytree(chosen)
    leaves = named(params)

    def ravel(tree: Params) -> Vector:
        theirs = named(tree)
        vector: Vector = ravel_pytree({name: jnp.asarray(theirs[name], leaf.dtype) for name, leaf in chosen.items()})[0]
        return vector

    return Operator(
        lambda vector: vector, flat, lambda vector: with_leaves(params, leaves | unravel(vector)), ravel
    )  # fmt: skip


@partial(jax.jit, static_argnames='matrix')
def _product(params: Params, flat: Vector, batch: Batch, matrix: Matrix) -> Vector:
    """The curvature of the weighted loss of the examples that are present, times a vector."""
    leaves = named(params)
    here = {name: leaves[name] for name in matrix.names}
    vector = ravel_pytree(here)[1](flat)

    def outputs(some: dict[str, Array]) -> Array:
        return matrix.outputs(params, some, batch.x, batch.y)

    def losses(some: dict[str, Array]) -> Array:
        return outputs(some) if matrix.apply is None else matrix.loss(outputs(some), batch.y)

    def total(losses: Array) -> Array:
        return jnp.sum(jnp.where(batch.present, losses, 0)) * batch.weight

    if matrix.kind == 'hessian':
        return ravel_pytree(jax.jvp(jax.grad(lambda some: total(losses(some))), (here,), (vector,))[1])[0]
    # The others are Jᵀ M J: of the outputs, M being the Hessian of the loss to them, or of the losses themselves.
    if matrix.kind == 'ggn':
        scores, change = jax.jvp(outputs, (here,), (vector,))
        slope = jax.grad(lambda scores: total(matrix.loss(scores, batch.y)))
        back = jax.jvp(slope, (scores,), (change,))[1]
        return ravel_pytree(jax.vjp(outputs, here)[1](back)[0])[0]
    if matrix.kind == 'sampled_fisher':
        scores, change = jax.jvp(outputs, (here,), (vector,))
        drawn = columns(matrix, scores, batch.y, batch.noise)
        share = jnp.where(batch.present, jnp.sum(drawn * change, range(2, drawn.ndim)), 0) * batch.weight
        back = jnp.einsum('sn,sn...->n...', share, drawn).astype(scores.dtype)
        return ravel_pytree(jax.vjp(outputs, here)[1](back)[0])[0]
    change = jax.jvp(losses, (here,), (vector,))[1]
    back = jnp.where(batch.present, change, 0) * batch.weight
    return ravel_pytree(jax.vjp(losses, here)[1](back.astype(change.dtype))[0])[0]
