"""LiSSA: the inverse of a curvature times a gradient, as a Neumann series over batches drawn at random."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from alljax.gradients import lanczos
from alljax.gradients.argument_checks import ArgumentTypeError, check_counts, check_not_negative, known
from alljax.gradients.curvature import Operator
from alljax.gradients.parameter_checks import check_params
from alljax.gradients.spectrum import checked_operator, direction
from alljax.gradients.typing import Number, Params

Vector = Float[Array, ' size']
LANCZOS_STEPS = 8  # by which the largest eigenvalue of a batch is known to a few percent
MARGIN = 1.2  # the scale is so many times the largest eigenvalue that was found
FAR = 10  # times the longest solution there may be: further off the series has not converged
LEFT = 0.01  # of the solution may be missing in a direction without curvature


def lissa(
    op: Operator | Sequence[Operator], *, key: Key[Array, ''], damping: Number, scale: Number | None = None,
    steps: int | None = None, repeats: int = 1,
) -> Callable[[Params], Params]:  # fmt: skip
    """A function from a gradient g, a tree of parameters, to (H + damping)⁻¹ g, by LiSSA (arXiv:1602.03943).

    hⱼ₊₁ = g + hⱼ − (Hⱼ hⱼ + damping hⱼ) / scale, where Hⱼ is that of an operator drawn from `op`, which are those of
    batches of the examples: as in Koh and Liang 2017, a step costs a product with one batch. The mean of `repeats` such
    series has less noise. The scale has to be above every eigenvalue of every operator, and by default is found by
    Lanczos' method; of the Hessian of a network negative ones spoil the series, so take kind='ggn'. By default there
    are as many `steps` as leave 1 % out in a direction of no curvature, 4.6 scale / damping. Parameters are of any
    shapes; those that `op` leaves out are zeros in the solution. The function can be jitted; within a jitted function,
    `lissa` itself needs the scale and the steps. ValueError for a damping that is not above 0, and from the function
    for a series that does not converge.

    >>> rest = {'params': params, 'kind': 'ggn'}
    >>> halves = [gradients.curvature_operator(apply, x=x[i : i + 2], y=y[i : i + 2], **rest) for i in (0, 2)]
    >>> solve = gradients.lissa(halves, key=key, damping=0.1, scale=100.0, steps=50)
    """
    ops = _checked(op)
    check_counts('lissa', steps=steps, repeats=repeats)
    check_not_negative('lissa', damping=damping, **({} if scale is None else {'scale': scale}))
    if known(damping) and damping == 0:
        raise ValueError('lissa: damping is 0: the series need not converge; give a part of the mean eigenvalue')
    if scale is None:
        scale = MARGIN * max(_largest(op, key) for op in ops) + damping
    if steps is None:
        if not (known(scale) and known(damping)):
            raise ValueError('lissa: steps are not given, and scale or damping is traced; give steps')
        steps = max(int(np.ceil(np.log(1 / LEFT) * float(scale / damping))), 1)
    draws = jax.random.randint(key, (repeats, steps), 0, len(ops))

    def solve(gradient: Params) -> Params:
        check_params('lissa', gradient, 'gradient')
        assert ops[0].ravel is not None
        vector = ops[0].ravel(gradient)
        series = jnp.stack([_series(ops, vector, draw, damping, scale) for draw in draws])
        solution = series.mean(0) / scale
        bound = FAR * jnp.linalg.norm(vector) / damping  # of a solution where no curvature is negative, FAR times
        if known(solution) and not np.linalg.norm(solution) <= bound:
            raise ValueError(
                f'lissa: op has an eigenvalue above the scale {float(scale):.3g} in some batch, or below minus the '
                "damping, so the series does not converge; give a greater scale, or an op of kind='ggn'"
            )
        return direction(ops[0], solution)

    return solve


def _checked(op: Operator | Sequence[Operator]) -> list[Operator]:
    several = op if isinstance(op, Sequence) and not isinstance(op, Operator) else [op]
    if not several:
        raise ValueError('lissa: op is an empty sequence; expected an operator, or one for each batch')
    ops = [checked_operator('lissa', one) for one in several]
    if any(one.ravel is None for one in ops):
        raise ArgumentTypeError('lissa: op cannot ravel a tree of parameters; take one of curvature_operator')
    sizes = sorted({one.like.size for one in ops})
    if len(sizes) > 1:
        raise ValueError(
            f'lissa: op: the operators have {" and ".join(map(str, sizes))} parameters; expected as many of each'
        )
    return ops


def _largest(op: Operator, key: Key[Array, '']) -> Float[Array, '']:
    start = jax.random.normal(key, op.like.shape, op.like.dtype)
    found = jnp.nanmax(lanczos.ritz(op.product, start, min(LANCZOS_STEPS, op.like.size)).pairs.values)
    if known(found) and not (np.isfinite(found) and found > 0):
        raise ValueError(
            f'lissa: op has {float(found):.3g} as its largest eigenvalue, so there is no scale; expected finite '
            'products, and some curvature above 0'
        )
    return found


def _series(
    ops: Sequence[Operator], gradient: Vector, draw: Int[Array, ' steps'], damping: Number, scale: Number
) -> Vector:
    h: Vector = gradient
    if known(gradient) and known(draw) and known(ops[0].product(gradient)):
        for chosen in np.asarray(draw):
            h = _extended(gradient, h, ops[chosen].product(h), damping, scale)
        return h
    products = [op.product for op in ops]

    def step(number: int | Int[Array, ''], h: Vector) -> Vector:
        longer: Vector = _extended(gradient, h, jax.lax.switch(draw[number], products, h), damping, scale)
        return longer

    whole: Vector = jax.lax.fori_loop(0, len(draw), step, h)
    return whole


@jax.jit
def _extended(gradient: Vector, h: Vector, image: Vector, damping: Number, scale: Number) -> Vector:
    return gradient + h - (image + damping * h) / scale
