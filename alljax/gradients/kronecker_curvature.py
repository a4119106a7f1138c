"""K-FAC and EK-FAC: the curvature of dense and convolutional linen layers as Kronecker products, and their inverses.

Martens & Grosse 2015 (arXiv:1503.05671), Grosse & Martens 2016 for convolutions (arXiv:1602.01407), Eschenhagen et al.
2023 for the two ways in which places share a kernel (arXiv:2311.00636), George et al. 2018 for the corrected
eigenvalues (arXiv:1806.03884).
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from alljax.gradients import batching
from alljax.gradients.argument_checks import ArgumentTypeError, check_not_negative, few, known
from alljax.gradients.curvature_matrix import OUTER, Asked, Curved, Matrix, checked, columns
from alljax.gradients.named_parameters import named, with_leaves
from alljax.gradients.parameter_checks import check_params
from alljax.gradients.squared_gradients import (
    Batch,
    Names,
    Sides,
    as_matrices,
    from_matrices,
    kernels,
    layers_of,
    of_others,
    passed,
    sides,
    squares,
)
from alljax.gradients.typing import Loss, Network, OutputLoss, Params

Arrays = dict[str, Array]
Shared = Literal['expand', 'reduce']
SHARED = ('expand', 'reduce')
SMALL = 4  # times as many rows as directions has a matrix at least, where it pays to look for these alone


class KroneckerLayer(NamedTuple):
    """The curvature of a layer: Q Λ Qᵀ of its kernel as a matrix, for each group of its channels.

    Q is the Kronecker product of two bases. Where the layer has a bias, it is the last row of the kernel's matrix, and
    its input is 1.
    """

    inputs: Float[Array, 'groups inputs inputs']  # eigenvectors of the second moment of the inputs, one a column
    outputs: Float[Array, 'groups outputs outputs']  # and of the cotangents
    eigenvalues: Float[Array, 'groups inputs outputs']  # Λ


class KroneckerFactors(NamedTuple):
    """The curvature of a network, one block a layer; a plain tree of arrays."""

    layers: dict[Names, KroneckerLayer]  # by the names of the kernel and, if there is one, the bias
    diagonal: Arrays  # by name [size], of parameters that belong to no dense or convolutional layer


class _Moments(NamedTuple):
    """Sums over examples: what the eigenvectors are of, and the diagonal beside."""

    layers: dict[Names, tuple[Array, Array]]
    diagonal: Arrays


def kronecker_factors(
    apply: Network | None = None, params: Params = None, x: Any = None, y: Any = None, *,
    loss: Loss | None = None, output_loss: OutputLoss | None = None,
    kind: Literal['ggn', 'sampled_fisher', 'fisher'] = 'ggn', key: Key[Array, ''] | None = None, samples: int = 1,
    corrected: bool = False, shared: Shared = 'expand', where: str | None = None, batch_size: int | None = None,
) -> KroneckerFactors:  # fmt: skip
    """The curvature of linen's layers as Kronecker products: K-FAC, or EK-FAC with `corrected` eigenvalues.

    Loss, `kind`, `key`, `samples` and `where` are as in `curvature_operator`; 'ggn' costs a pass back for each class,
    'sampled_fisher' one for each of the `samples`. Each `flax.linen.Dense` and `Conv` is a block of its own, kernel and
    bias together. `corrected`, the eigenvalues are the squared gradients in the same bases, which a second pass finds.
    Where a kernel is used at several places of an example, 'expand' takes the places for independent, 'reduce' takes
    their mean input and summed cotangent. All other parameters (scales and biases of normalization, a layer that is
    called twice, attention's kernels) have their own diagonal of the matrix: `found.diagonal` names them. Of a loss
    that is not convex in the outputs, directions in which it curves down count as flat.

    Examples are of any rank. Memory: that of a batch, and three matrices for each layer. Can be jitted. ValueError
    where no such layer holds any of the parameters, as of plain functions and of other libraries: use
    `curvature_diagonal` or `conjugate_gradients` there.

    >>> found = gradients.kronecker_factors(model, variables, x, y, corrected=True)
    >>> step = gradients.kronecker_solve(found, variables, damping=0.1)
    """
    if shared not in SHARED:
        raise ValueError(f'kronecker_factors: shared is {shared!r}; it may be {", ".join(map(repr, SHARED))}')
    asked = Asked(apply, params, x, y, loss, output_loss, kind, where, batch_size, key, samples)
    curved = checked('kronecker_factors', asked, OUTER)
    require_layers(
        'kronecker_factors', curved, 'use curvature_diagonal, or conjugate_gradients with a curvature_operator'
    )
    return factors_of(curved, batch_size, corrected=corrected, shared=shared)


def require_layers(function: str, curved: Curved, instead: str) -> None:
    """ValueError, before anything is computed, where no layer holds any of the parameters."""
    matrix, params, _, x, y, _ = curved
    if not kernels(layers_of(matrix, params, x, y), matrix.names):
        raise ValueError(
            f'{function}: params: no flax.linen.Dense or Conv that is called once holds any of '
            f'{few(list(matrix.names))}; {instead}'
        )


def factors_of(
    curved: Curved, batch_size: int | None, *, corrected: bool = False, shared: Shared = 'expand'
) -> KroneckerFactors:
    """The same of a matrix that was checked."""
    matrix, params, _, *rows = curved
    count = len(rows[0])

    def total(function: Callable[..., Any], *given: Any) -> Any:
        def of_batch(*batch: Array) -> Any:
            return function(matrix, params, Batch(*batch), *given)

        return jax.tree.map(lambda leaf: leaf / count, batching.total(of_batch, batch_size, *rows))

    moments = total(partial(_moments, shared))
    ranks = _ranks(curved)
    layers = {names: _layer(*moments.layers.pop(names), ranks[names]) for names in list(moments.layers)}  # freed each
    if corrected:
        values = total(_corrected, {names: layer[:2] for names, layer in layers.items()})
        layers = {names: layer._replace(eigenvalues=values[names]) for names, layer in layers.items()}
    return KroneckerFactors(layers, moments.diagonal)


def kronecker_product(factors: KroneckerFactors, tree: Params) -> Params:
    """The curvature times a tree of parameters of any shapes, such as a gradient; zero where nothing varies.

    ValueError for a tree without the parameters of the factors. Can be jitted.

    >>> found = gradients.kronecker_factors(model, variables, x, y)
    >>> moved = gradients.kronecker_product(found, variables)
    """
    return _mapped('kronecker_product', factors, tree, lambda values, part: values * part)


def kronecker_solve(factors: KroneckerFactors, tree: Params, damping: float | Float[Array, '']) -> Params:
    """The inverse of curvature + `damping` × identity, times a tree of parameters of any shapes; zero elsewhere.

    Exact for the curvature as the factors have it; `damping` is a number above 0, in units of the eigenvalues.
    ValueError for a tree without the parameters of the factors. Can be jitted.

    >>> found = gradients.kronecker_factors(model, variables, x, y)
    >>> step = gradients.kronecker_solve(found, variables, damping=0.1)
    """
    check_not_negative('kronecker_solve', damping=damping)
    if known(damping) and not np.asarray(damping) > 0:
        raise ValueError('kronecker_solve: damping is 0, and the curvature has flat directions; expected above 0')
    return _mapped('kronecker_solve', factors, tree, lambda values, part: part / (values + damping))


def _mapped(
    function: str, factors: KroneckerFactors, tree: Params, change: Callable[[Array, Array], Array]
) -> Params:  # fmt: skip
    """The tree with `change(eigenvalues, its parts)` in the eigenbasis of each layer."""
    if not isinstance(factors, KroneckerFactors):
        raise ArgumentTypeError(
            f'{function}: factors is {type(factors).__name__}; expected KroneckerFactors, of kronecker_factors'
        )
    check_params(function, tree, 'tree')
    leaves = named(tree)
    _check_leaves(function, factors, leaves)
    moved = {name: jnp.zeros_like(leaf) for name, leaf in leaves.items()}
    with jax.default_matmul_precision('highest'):
        for names, layer in factors.layers.items():
            here = [jnp.asarray(leaves[name]) for name in names]
            part = layer.inputs.mT @ as_matrices(here, len(layer.inputs)) @ layer.outputs
            part = layer.inputs @ change(layer.eigenvalues, part) @ layer.outputs.mT
            moved |= zip(names, from_matrices(part, here), strict=True)
    for name, values in factors.diagonal.items():
        moved[name] = change(values.reshape(jnp.shape(leaves[name])), jnp.asarray(leaves[name]))
    return with_leaves(tree, moved)


def _check_leaves(function: str, factors: KroneckerFactors, leaves: dict[str, Any]) -> None:
    wanted = [name for names in factors.layers for name in names] + list(factors.diagonal)
    absent = [name for name in wanted if name not in leaves]
    if absent:
        raise ValueError(
            f'{function}: tree and factors differ in {few(absent)}; expected a tree of the parameters that the factors '
            'were made for'
        )
    sizes = {name: values.size for name, values in factors.diagonal.items()}
    for (kernel, *bias), layer in factors.layers.items():
        size, last = layer.eigenvalues.size, layer.eigenvalues[:, -1].size
        sizes |= {kernel: size - last * len(bias)} | dict.fromkeys(bias, last)
    for name, size in sizes.items():
        if np.size(leaves[name]) != size:
            raise ValueError(
                f'{function}: tree has shape {np.shape(leaves[name])} at {name}, {np.size(leaves[name])} numbers; '
                f'expected the {size} of the factors'
            )


@partial(jax.jit, static_argnums=(0, 1))
def _moments(shared: str, matrix: Matrix, params: Params, batch: Batch) -> _Moments:
    with jax.default_matmul_precision('highest'):
        there = passed(matrix, params, batch)
        places = kernels(there.layers, matrix.names)
        layers = {}
        for names, place in places.items():
            inputs, back = _shared(shared, sides(there, place, bias=len(names) > 1))
            inputs = jnp.where(batch.present[:, None, None, None], inputs, 0)
            of_inputs = jnp.einsum('ngti,ngtj->gij', inputs, inputs) / inputs.shape[2]
            layers[names] = (of_inputs, jnp.einsum('kngto,kngtp->gop', back, back))
        inside = {name for names in layers for name in names}
        rest = of_others(matrix, params, there, batch, [name for name in matrix.names if name not in inside])
        return _Moments(layers, {name: jnp.sum(leaf**2, (0, 1)) for name, leaf in rest.items()})


def _shared(shared: str, both: Sides) -> Sides:
    if shared == 'expand':
        return both
    return Sides(both.inputs.mean(2, keepdims=True), both.cotangents.sum(3, keepdims=True))


def _ranks(curved: Curved) -> dict[Names, tuple[int, int]]:
    """The most different directions that each layer's inputs, and the cotangents of its outputs, can have."""
    matrix, params, _, *rows = curved

    def ways(x: Array, y: Array, noise: Array) -> Array:
        return columns(matrix, matrix.outputs(params, {}, x, y), y, noise)

    count, layers = len(jax.eval_shape(ways, *rows)), layers_of(matrix, params, *rows[:2])
    places = {names: layers[place].output.shape[:-1] for names, place in kernels(layers, matrix.names).items()}
    return {names: (int(np.prod(shape)), count * int(np.prod(shape))) for names, shape in places.items()}


@partial(jax.jit, static_argnums=2)
def _layer(of_inputs: Array, of_cotangents: Array, ranks: tuple[int, int]) -> KroneckerLayer:
    with jax.default_matmul_precision('highest'):
        one, inputs = _eigenvectors(of_inputs, ranks[0])
        other, outputs = _eigenvectors(of_cotangents, ranks[1])
    return KroneckerLayer(inputs, outputs, jnp.maximum(one, 0)[:, :, None] * jnp.maximum(other, 0)[:, None])


def _eigenvectors(
    moment: Float[Array, 'groups size size'], rank: int
) -> tuple[Float[Array, 'groups size'], Float[Array, 'groups size size']]:
    """The eigenvalues of a second moment and all its eigenvectors, in any order.

    Where few directions went into it, they are looked for in the span of its products with somewhat more random vectors
    (Halko et al. 2011, arXiv:0909.4061), and the others are any that complete the basis: of 500 examples and 9,217
    inputs a tenth of the time. As many vectors as directions would lose a digit, for some are nearly alike.
    """
    size, some = moment.shape[-1], rank + rank // 4 + 8
    if SMALL * some > size:
        found: tuple[Array, Array] = jnp.linalg.eigh(moment)
        return found
    random = jax.random.normal(jax.random.key(0), (size, some), moment.dtype)
    basis = jnp.linalg.qr(moment @ random, mode='complete')[0]
    span = basis[..., :some]
    values, ways = jnp.linalg.eigh(span.mT @ moment @ span)
    values = jnp.pad(values, [(0, 0), (0, size - some)])
    return values, jnp.concatenate([span @ ways, basis[..., some:]], -1)


@partial(jax.jit, static_argnums=0)
def _corrected(matrix: Matrix, params: Params, batch: Batch, bases: dict[Names, tuple[Array, Array]]) -> Any:
    with jax.default_matmul_precision('highest'):
        there = passed(matrix, params, batch)
        found = {}
        for names, place in kernels(there.layers, matrix.names).items():
            inputs, back = sides(there, place, bias=len(names) > 1)
            of_inputs, of_outputs = bases[names]
            found[names] = squares(Sides(inputs @ of_inputs, back @ of_outputs))
        return found
