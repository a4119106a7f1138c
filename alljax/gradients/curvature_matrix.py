"""The matrix that a kind of curvature is: of which loss, outputs and parameters, and the checks of what is asked."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from alljax.gradients.argument_checks import check_counts
from alljax.gradients.example_gradients import check_loss
from alljax.gradients.named_parameters import named, widened, with_leaves
from alljax.gradients.network_checks import as_apply, classes, picked, prepare
from alljax.gradients.parameter_checks import check_params, check_trained, require_leaves
from alljax.gradients.typing import Apply, Loss, Network, OutputLoss, Params, Rows

Kind = Literal['hessian', 'ggn', 'sampled_fisher', 'fisher']
OUTER = ('ggn', 'sampled_fisher', 'fisher')  # those that are sums of outer products
KINDS = ('hessian', *OUTER)


class Matrix(NamedTuple):
    """The kind of curvature, the parameters that its rows and columns stand for, and the loss."""

    kind: str
    names: tuple[str, ...]
    apply: Apply | None  # if the loss is one of its outputs
    loss: Callable[..., Array]  # (outputs, y), or (params, x, y) without `apply`, to a loss for each example

    def outputs(self, params: Params, some: dict[str, Array], x: Array, y: Array) -> Array:
        """The outputs [batch, ...] where some parameters are others; without `apply`, the losses."""
        there = with_leaves(params, named(params) | some)
        return self.loss(there, x, y) if self.apply is None else self.apply(there, x)


class Curved(NamedTuple):
    """The matrix, and all that products with it are computed from; its arrays have a row for each example."""

    matrix: Matrix
    params: Params  # in float32 or wider
    chosen: dict[str, Array]  # the parameters that vary, by name
    x: Rows
    y: Rows
    noise: Float[Array, 'batch samples ...']  # from which labels are drawn; no samples where none are


class Asked(NamedTuple):
    """All that a function was asked about the curvature of a loss, as `curvature_operator` takes it."""

    apply: Network | None
    params: Params
    x: Any
    y: Any
    loss: Loss | None
    output_loss: OutputLoss | None
    kind: str
    where: str | None
    batch_size: int | None
    key: Key[Array, ''] | None
    samples: int


def checked(function: str, asked: Asked, kinds: Sequence[str] = KINDS) -> Curved:
    """The matrix that is asked for, after all checks; the errors are those of `curvature_operator`."""
    apply, params, x, y, loss, output_loss, kind, where, batch_size, key, samples = asked
    if kind not in kinds:
        raise ValueError(f'{function}: kind is {kind!r}; it may be {", ".join(map(repr, kinds))}')
    _check_form(function, apply, loss, output_loss, kind)
    if kind == 'sampled_fisher' and key is None:
        raise ValueError(f'{function}: key is None; a sampled Fisher matrix draws labels: give key=jax.random.key(0)')
    check_counts(function, batch_size=batch_size, samples=samples)
    params, chosen = chosen_leaves(function, params, where)
    network = None if apply is None else as_apply(apply)
    if network is not None and output_loss is None:
        network, y = prepare(function, network, params, x, y, 'y', tokens=True)
        if classes(function, network, params, x, tokens=True) == 1:
            raise ValueError(
                f'{function}: apply has one output, whose cross-entropy is always zero; give a loss of it, such as '
                'output_loss=lambda outputs, y: (outputs - y) ** 2'
            )
        output_loss = cross_entropy
    elif network is not None:
        assert output_loss is not None
        check_loss(function, _of_outputs(network, output_loss), params, x, y, batch_size, of_curvature=True)
    else:
        assert loss is not None
        check_loss(function, loss, params, x, y, batch_size, of_curvature=True)
    of_what: Any = loss if network is None else output_loss
    matrix = Matrix(kind, tuple(chosen), network, of_what)
    return Curved(matrix, params, chosen, x, y, _noise(matrix, params, x, key, samples))


def chosen_leaves(function: str, params: Params, where: str | None) -> tuple[Params, dict[str, Array]]:
    """The parameters in float32 or wider, and those that vary by name: all, or those that the pattern matches."""
    check_params(function, params)
    require_leaves(function, params)
    params = widened(params)
    leaves = named(params)
    chosen = {name: leaf for name, leaf in leaves.items() if where is None or re.fullmatch(where, name)}
    if not chosen:
        raise ValueError(f'{function}: where is {where!r}: it matches none of {", ".join(list(leaves)[:6])}, …')
    check_trained(function, params, chosen=chosen.__contains__)
    return params, {name: jnp.asarray(leaf) for name, leaf in chosen.items()}


def cross_entropy(logits: Float[Array, 'batch classes'], y: Array) -> Float[Array, ' batch']:
    """The negative log-probability of each label."""
    return -picked(jax.nn.log_softmax(logits), y)


def columns(matrix: Matrix, outputs: Array, y: Array, noise: Array) -> Float[Array, 'columns batch ...']:
    """Cotangents c of each example's outputs, whose Σ c cᵀ over the columns is the middle of its matrix Jᵀ M J.

    That is the Hessian of its loss to the outputs, an estimate of it, or the outer product of the loss's own gradient.
    """
    if matrix.apply is None:
        return jnp.ones((1, *outputs.shape), outputs.dtype)
    if matrix.kind == 'fisher':
        slope: Array = jax.grad(lambda outputs: jnp.sum(matrix.loss(outputs, y)))(outputs)
        return slope[None]
    samples = noise.shape[1]
    if matrix.loss is cross_entropy:
        chance = jax.nn.softmax(outputs)
        if matrix.kind == 'ggn':
            return jnp.sqrt(chance).T[:, :, None] * (jnp.eye(chance.shape[1])[:, None] - chance)
        drawn = jnp.argmax(outputs[:, None] + noise, -1)
        there = jax.nn.one_hot(drawn, chance.shape[1], dtype=chance.dtype)
        return jnp.asarray((chance[:, None] - there).swapaxes(0, 1) / np.sqrt(samples), chance.dtype)
    flat = outputs.reshape(len(outputs), -1)

    def one(output: Array, y: Array) -> Array:
        return matrix.loss(output.reshape(1, *outputs.shape[1:]), y[None])[0]

    values, vectors = jnp.linalg.eigh(jax.vmap(jax.hessian(one))(flat, y))
    roots = vectors * jnp.sqrt(jnp.maximum(values, 0))[:, None]
    if matrix.kind == 'ggn':
        return jnp.moveaxis(roots, 2, 0).reshape(-1, *outputs.shape)
    drawn = jnp.einsum('nij,nsj->sni', roots, noise.reshape(len(flat), samples, -1))
    return jnp.asarray(drawn / np.sqrt(samples), roots.dtype).reshape(-1, *outputs.shape)


def _noise(matrix: Matrix, params: Params, x: Rows, key: Key[Array, ''] | None, samples: int) -> Array:
    """Numbers for the labels to draw, for each example: so a batch's size does not change them."""
    if matrix.kind != 'sampled_fisher' or key is None:
        return jnp.zeros((len(x), 0))
    assert matrix.apply is not None
    outputs = jax.eval_shape(matrix.apply, params, x)
    draw = jax.random.gumbel if matrix.loss is cross_entropy else jax.random.normal
    noise: Array = draw(key, (len(x), samples, *outputs.shape[1:]), outputs.dtype)
    return noise


def _check_form(function: str, apply: Any, loss: Any, output_loss: Any, kind: str) -> None:
    if (apply is None) == (loss is None):
        given = 'neither' if apply is None else 'both'
        raise ValueError(
            f'{function}: {given} of apply and loss are given; expected one: apply, whose cross-entropy (or '
            'output_loss) it is, or loss(params, x, y)'
        )
    if loss is not None and (kind in ('ggn', 'sampled_fisher') or output_loss is not None):
        matrix = 'sampled Fisher' if kind == 'sampled_fisher' else 'Gauss-Newton'
        raise ValueError(
            f"{function}: loss does not say what the network's outputs are, which the {matrix} matrix (kind={kind!r}) "
            'is about; give apply, and output_loss=lambda outputs, y: … for another loss than cross-entropy'
        )


@lru_cache(maxsize=32)  # the same function each time, or all is looked at again
def _of_outputs(apply: Apply, output_loss: OutputLoss) -> Loss:
    return lambda params, x, y: output_loss(apply(params, x), y)
