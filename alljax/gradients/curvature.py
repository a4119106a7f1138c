"""The curvature of the loss: products with Hessian, Gauss-Newton and Fisher matrices, which `spectrum` makes use of."""

import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float

from alljax.gradients import batching
from alljax.gradients.argument_checks import check_counts
from alljax.gradients.example_gradients import check_loss
from alljax.gradients.named_parameters import named, widened, with_leaves
from alljax.gradients.network_checks import as_apply, classes, picked, prepare
from alljax.gradients.parameter_checks import check_params, check_trained, require_leaves
from alljax.gradients.typing import Apply, Loss, Network, OutputLoss, Params

Vector = Float[Array, ' size']
KINDS = ('hessian', 'ggn', 'fisher')


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
    present: Bool[Array, ' batch']
    weight: float | Float[Array, '']  # of each example's loss


class Matrix(NamedTuple):
    """The kind of curvature, the parameters that its rows and columns stand for, and the loss."""

    kind: str
    names: tuple[str, ...]
    apply: Apply | None  # if the loss is one of its outputs
    loss: Callable[..., Array]  # (outputs, y), or (params, x, y) without `apply`, to a loss for each example


def curvature_operator(
    apply: Network | None = None, params: Params = None, x: Any = None, y: Any = None, *,
    loss: Loss | None = None, output_loss: OutputLoss | None = None,
    kind: Literal['hessian', 'ggn', 'fisher'] = 'hessian', where: str | None = None, batch_size: int | None = None,
) -> Operator:  # fmt: skip
    """The curvature of the mean loss over examples `x` with labels `y`, as products with vectors.

    The loss is the cross-entropy of the logits of `apply`; or `output_loss(outputs, y)` of its outputs, whatever they
    are, as in a regression; or, without `apply`, any `loss(params, x, y)`. Each gives a loss for each example [batch].
    Examples are of any rank; tokens are integers.

    'hessian' is that of the loss; 'ggn' the Gauss-Newton matrix, which for cross-entropy is the Fisher matrix of the
    network's own predictions, and needs `apply`; 'fisher' the empirical Fisher matrix, the mean of g gᵀ over the
    gradients of single examples. `where` is a regular expression over whole parameter names ('head/.*'): only those
    vary. Vectors hold the chosen parameters in the order of the tree. Parameters of half precision (bfloat16, float16)
    are taken in float32: Lanczos' method needs the digits. Compiled once for the functions and the shapes. Can be
    jitted, from the parameters to what is found of the operator. ValueError for an unknown kind, a pattern that matches
    no name, or a label that the network does not have.

    >>> op = gradients.curvature_operator(apply, params, x, y, kind='ggn')
    >>> op = gradients.curvature_operator(loss=loss, params=params, x=x, y=y, batch_size=2)
    >>> bool(op(op.like).shape == op.like.shape)
    True
    """
    if kind not in KINDS:
        raise ValueError(f'kind is {kind!r}; it may be {", ".join(map(repr, KINDS))}')
    _check_form(apply, loss, output_loss, kind)
    check_counts('curvature_operator', batch_size=batch_size)
    check_params('curvature_operator', params)
    require_leaves('curvature_operator', params)
    params = widened(params)
    leaves = named(params)
    chosen = {name: leaf for name, leaf in leaves.items() if where is None or re.fullmatch(where, name)}
    if not chosen:
        raise ValueError(f'where is {where!r}: it matches none of {", ".join(list(leaves)[:6])}, …')
    check_trained('curvature_operator', params, chosen=chosen.__contains__)
    function = None if apply is None else as_apply(apply)
    if function is not None and output_loss is None:
        function, y = prepare('curvature_operator', function, params, x, y, 'y', tokens=True)
        if classes('curvature_operator', function, params, x, tokens=True) == 1:
            raise ValueError(
                'curvature_operator: apply has one output, whose cross-entropy is always zero; give a loss of it, such '
                'as output_loss=lambda outputs, y: (outputs - y) ** 2'
            )
        output_loss = cross_entropy
    elif function is not None:
        assert output_loss is not None
        check_loss(
            'curvature_operator', _of_outputs(function, output_loss), params, x, y, batch_size, of_curvature=True
        )
    else:
        assert loss is not None
        check_loss('curvature_operator', loss, params, x, y, batch_size, of_curvature=True)
    flat, unravel = ravel_pytree(chosen)
    of_what: Any = loss if function is None else output_loss
    matrix = Matrix(kind, tuple(chosen), function, of_what)
    weight = 1 / len(x)

    def product(vector: Vector) -> Vector:
        def of_batch(x: Array, y: Array, present: Array) -> Vector:
            part: Vector = _product(params, vector, Batch(x, y, present, weight), matrix)
            return part

        return batching.total(of_batch, batch_size, x, y)

    def ravel(tree: Params) -> Vector:
        theirs = named(tree)
        vector: Vector = ravel_pytree({name: jnp.asarray(theirs[name], leaf.dtype) for name, leaf in chosen.items()})[0]
        return vector

    return Operator(product, flat, lambda vector: with_leaves(params, leaves | unravel(vector)), ravel)


def cross_entropy(logits: Float[Array, 'batch classes'], y: Array) -> Float[Array, ' batch']:
    """The negative log-probability of each label."""
    return -picked(jax.nn.log_softmax(logits), y)


def _check_form(apply: Any, loss: Any, output_loss: Any, kind: str) -> None:
    if (apply is None) == (loss is None):
        given = 'neither' if apply is None else 'both'
        raise ValueError(
            f'curvature_operator: {given} of apply and loss are given; expected one: apply, whose cross-entropy (or '
            'output_loss) it is, or loss(params, x, y)'
        )
    if loss is not None and (kind == 'ggn' or output_loss is not None):
        raise ValueError(
            "curvature_operator: loss does not say what the network's outputs are, which the Gauss-Newton matrix (kind="
            "'ggn') is about; give apply, and output_loss=lambda outputs, y: … for another loss than cross-entropy"
        )


@lru_cache(maxsize=32)  # the same function each time, or all is looked at again
def _of_outputs(apply: Apply, output_loss: OutputLoss) -> Loss:
    return lambda params, x, y: output_loss(apply(params, x), y)


@partial(jax.jit, static_argnames='matrix')
def _product(params: Params, flat: Vector, batch: Batch, matrix: Matrix) -> Vector:
    """The curvature of the weighted loss of the examples that are present, times a vector."""
    leaves = named(params)
    here = {name: leaves[name] for name in matrix.names}
    vector = ravel_pytree(here)[1](flat)

    def outputs(some: dict[str, Array]) -> Array:
        assert matrix.apply is not None
        return matrix.apply(with_leaves(params, leaves | some), batch.x)

    def losses(some: dict[str, Array]) -> Array:
        if matrix.apply is None:
            return matrix.loss(with_leaves(params, leaves | some), batch.x, batch.y)
        return matrix.loss(outputs(some), batch.y)

    def total(losses: Array) -> Array:
        return jnp.sum(jnp.where(batch.present, losses, 0)) * batch.weight

    if matrix.kind == 'hessian':
        return ravel_pytree(jax.jvp(jax.grad(lambda some: total(losses(some))), (here,), (vector,))[1])[0]
    # Both are Jᵀ M J: of the outputs, M being the Hessian of the loss to them, or of the losses themselves.
    if matrix.kind == 'ggn':
        scores, change = jax.jvp(outputs, (here,), (vector,))
        slope = jax.grad(lambda scores: total(matrix.loss(scores, batch.y)))
        back = jax.jvp(slope, (scores,), (change,))[1]
        return ravel_pytree(jax.vjp(outputs, here)[1](back)[0])[0]
    change = jax.jvp(losses, (here,), (vector,))[1]
    back = jnp.where(batch.present, change, 0) * batch.weight
    return ravel_pytree(jax.vjp(losses, here)[1](back.astype(change.dtype))[0])[0]
