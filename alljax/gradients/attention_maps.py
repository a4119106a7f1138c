"""Attribution to the tokens of a transformer by its attention: rollout, and attention weighted by gradients.

The attention matrices are found in the program that JAX traces, in whatever library the network is written: what is
divided by its own sum over the last axis, as a softmax is, and is square in the last two. Those inside `scan` too.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Jaxpr, JaxprEqn
from jax.extend.core import Literal as Constant
from jaxtyping import Array, Float, Int

from alljax.gradients import batching, traced_programs
from alljax.gradients.argument_checks import check_counts
from alljax.gradients.network_checks import picked, prepare
from alljax.gradients.token_grid import grid_of, patches_on_grid
from alljax.gradients.traced_programs import Program
from alljax.gradients.typing import Apply, Attribution, Inputs, Network, Params, Target

Matrices = list[Float[Array, 'batch heads tokens tokens']]  # of each layer with attention, in order of use
# (params, x, offsets) to the logits and the attention matrices, each with its offset added if there are some.
Attend: TypeAlias = Callable[[Params, Array, Sequence[Array] | None], tuple[Array, Matrices]]
Query = int | None  # the token that is read by the head, None for the mean of all


class Reading(NamedTuple):
    """The way in which attention is read."""

    attend: Attend | None
    query: Query
    weighted: bool  # by its gradient


SHAPED = ('broadcast_in_dim', 'reshape', 'convert_element_type', 'stop_gradient', 'squeeze', 'expand_dims')


def attention_rollout(
    apply: Network, params: Params, x: Inputs, target: Target = None, *, query: Query = 0,
    grid: tuple[int, int] | None = None, attend: Attend | None = None, batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """The attention of a transformer's output token to its patches, multiplied through all layers.

    Attention rollout (Abnar & Zuidema 2020, arXiv:2005.00928): heads are averaged, the residual branch counts as much
    as attention does, and the rows of each layer sum to 1. `query` is the token that the head reads, 0 for a class
    token, None where it reads the mean of all. The map of images is [batch, rows, columns] of the patches, in the grid
    of `grad_cam`; of other inputs [batch, tokens]. It is the same for every class, so `target` may be left out.

    `attend(params, x, offsets)` gives logits and attention matrices of a network in which none are found: a list of
    [batch, heads, tokens, tokens], each with its offset added where `offsets` are given. Can be jitted. ValueError
    where no attention is found, or attention within windows.

    >>> gradients.attention_rollout(transformer, weights, x).map.shape
    (4, 4, 4)
    """
    return _of_attention('attention_rollout', apply, params, x, target, (query, grid, attend, batch_size))


def gradient_attention(
    apply: Network, params: Params, x: Inputs, target: Target, *, query: Query = 0,
    grid: tuple[int, int] | None = None, attend: Attend | None = None, batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """Attention weighted by the gradient of the target's logit, through all layers of a transformer.

    The relevance of self-attention of Chefer et al. 2021 (arXiv:2103.15679, equations 5 and 6): each layer adds the
    mean over heads of what is positive in attention times its gradient, times the relevance so far. Arguments, map and
    errors are those of `attention_rollout`; it tells classes apart. Can be jitted. Inputs are of any rank.

    >>> gradients.gradient_attention(transformer, weights, x, y).map.shape
    (4, 4, 4)
    """
    return _of_attention('gradient_attention', apply, params, x, target, (query, grid, attend, batch_size))


def attention_weights(apply: Network, params: Params, x: Inputs) -> Matrices:
    """The attention matrices of each layer of a transformer, [batch, heads, tokens, tokens], in order of use.

    A row is of one query and sums to 1. Found as the methods above find them; inputs are of any rank, tokens too. Can
    be jitted. ValueError where there are none.

    >>> [matrix.shape for matrix in gradients.attention_weights(transformer, weights, x)]
    [(4, 2, 17, 17)]
    """
    function, _ = prepare('attention_weights', apply, params, x, 0, tokens=True)
    found: Matrices = _weights(function, params, jnp.asarray(x))
    return found


def has_attention(apply: Apply, params: Params, x: Inputs | jax.ShapeDtypeStruct) -> bool:
    """True of a network in which `attention_weights` finds some, without computing it."""
    try:
        jax.eval_shape(lambda params, x: attending(apply)(params, x, None), params, x)
    except ValueError:
        return False
    return True


def attending(apply: Apply) -> Attend:
    """The network as a function that also gives its attention matrices, and adds offsets to them."""

    def attend(params: Params, x: Array, offsets: Sequence[Array] | None = None) -> tuple[Array, Matrices]:
        program, shape = jax.make_jaxpr(apply, return_shape=True)(params, x)
        matrices: Matrices = []
        made_by: dict[Any, JaxprEqn] = {}

        def change(step: JaxprEqn, given: list[Any]) -> list[Any] | None:
            made_by.update(dict.fromkeys(step.outvars, step))
            if not _is_attention(step, made_by):
                return None
            (output,) = traced_programs.bind(step, given)
            matrix = _by_heads(output, len(x))
            if offsets is not None:
                matrix = matrix + offsets[len(matrices)]
            matrices.append(matrix)
            return [matrix.reshape(output.shape)]

        leaves = jax.tree.leaves((params, x))
        outputs = traced_programs.run(program.jaxpr, program.consts, leaves, change, _with_attention)
        if not matrices:
            raise ValueError(
                'no attention is found in the network: nothing square that is divided by its sum; give a function that '
                'returns it (attend=)'
            )
        return jax.tree.unflatten(jax.tree.structure(shape), outputs), matrices

    return attend


def _of_attention(
    function: str, apply: Network, params: Params, x: Inputs, target: Target,
    options: tuple[Query, tuple[int, int] | None, Attend | None, int | None],
) -> Attribution:  # fmt: skip
    query, grid, attend, batch_size = options
    check_counts(function, batch_size=batch_size)
    weighted = function == 'gradient_attention'
    network, wanted = prepare(function, apply, params, x, target if weighted or target is not None else 0, tokens=True)
    of_batch = partial(_relevance, network, params, reading=Reading(attend, query, weighted))
    rows = batching.rows(of_batch, batch_size, x, wanted)
    tokens = rows.shape[1]
    if len(x.shape) != 4:
        return Attribution(rows)
    return Attribution(patches_on_grid(rows, grid_of(tokens, (x.shape[1], x.shape[2]), grid)))


@partial(jax.jit, static_argnums=0)
def _weights(apply: Apply, params: Params, x: Array) -> Matrices:
    return attending(apply)(params, x, None)[1]


@partial(jax.jit, static_argnames=('apply', 'reading'))
def _relevance(
    apply: Apply, params: Params, x: Array, wanted: Int[Array, ' batch'], reading: Reading
) -> Float[Array, 'batch tokens']:
    attend, query, weighted = reading
    call = attend or attending(apply)
    if weighted:
        shapes = jax.eval_shape(lambda params, x: call(params, x, None), params, x)[1]

        def score(offsets: list[Array]) -> tuple[Array, Matrices]:
            logits, matrices = call(params, x, offsets)
            return picked(logits, wanted).sum(), matrices

        zeros = [jnp.zeros(matrix.shape, matrix.dtype) for matrix in shapes]
        slopes, matrices = jax.grad(score, has_aux=True)(zeros)
        layers = [jax.nn.relu(one * slope).mean(1) for one, slope in zip(matrices, slopes, strict=True)]
    else:
        layers = [matrix.mean(1) for matrix in call(params, x, None)[1]]
    sizes = {layer.shape[1:] for layer in layers}
    if len(sizes) > 1:
        raise ValueError(f'layers attend to different numbers of tokens, {sorted(sizes)}: there is no path through all')
    eye = jnp.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    total = jnp.broadcast_to(eye, layers[0].shape)
    for layer in layers:
        if weighted:
            total = total + layer @ total
        else:
            mixed = layer + eye
            total = mixed / mixed.sum(-1, keepdims=True) @ total
    return total.mean(1) if query is None else total[:, query]


def _is_attention(step: JaxprEqn, made_by: dict[Any, JaxprEqn]) -> bool:
    """True of a division, of what is square in its last two axes, by its own sum over the last one."""
    shape = traced_programs.shape_of(step.outvars[0])
    if step.primitive.name != 'div' or len(shape) < 3 or shape[-1] != shape[-2] or shape[-1] == 1:
        return False
    below = step.invars[1]
    while not isinstance(below, Constant) and below in made_by and made_by[below].primitive.name in SHAPED:
        below = made_by[below].invars[0]
    if isinstance(below, Constant) or below not in made_by:
        return False
    maker = made_by[below]
    summed = maker.primitive.name == 'reduce_sum' and maker.invars[0] is step.invars[0]
    return summed and tuple(map(int, maker.params['axes'])) == (len(shape) - 1,)


def _with_attention(step: JaxprEqn) -> Program | None:
    """The program inside a step, if there is attention in it: others keep derivatives of their own."""
    inner = traced_programs.wrapped_or_derived(step)
    return inner if inner is not None and _attends(inner[0]) else None


def _attends(program: Jaxpr) -> bool:
    made_by: dict[Any, JaxprEqn] = {}

    def attends(step: JaxprEqn) -> bool:
        made_by.update(dict.fromkeys(step.outvars, step))
        return _is_attention(step, made_by)

    return traced_programs.contains(program, attends)


def _by_heads(weights: Array, batch: int) -> Float[Array, 'batch heads tokens tokens']:
    """Attention [..., tokens, tokens] as [batch, heads, tokens, tokens]."""
    leading = [size for size in weights.shape[:-2] if size > 1]
    heads = int(np.prod(leading)) // batch
    if leading not in ([size for size in (batch, heads) if size > 1], [batch * heads]):
        raise ValueError(
            f'the network attends within windows, or in another order than images and heads: {weights.shape} for '
            f'{batch} inputs; expected [batch, heads, tokens, tokens]. Give a function that returns it so (attend=)'
        )
    by_heads: Array = weights.reshape(batch, heads, *weights.shape[-2:])
    return by_heads
