"""The rescale rule of DeepLIFT, put into a traced program: gradients become ratios of differences from a baseline.

The program is run at the inputs and at the baseline side by side. A nonlinear function of one value gets the slope of
its secant between both (Shrikumar et al. 2017, arXiv:1704.02685, section 3.5.1). A maximum over several gives what
it changes by to the largest of the inputs, or of the baseline, whose value it was (as captum does). A product of two
values that both change gets the mean of the other factor, which is Shapley's division of it (as shap does).
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn
from jax.extend.core import Literal as Constant
from jaxtyping import Array

from alljax.gradients import traced_programs
from alljax.gradients.typing import Apply, Params

EQUAL = 1e-10  # of what differs by less than this from its baseline, the slope is that at the input, as in captum

UNARY = frozenset([
    'abs', 'acos', 'acosh', 'asin', 'asinh', 'atan', 'atanh', 'cbrt', 'ceil', 'cos', 'cosh', 'digamma', 'erf',
    'erfc', 'erf_inv', 'exp', 'exp2', 'expm1', 'floor', 'integer_pow', 'lgamma', 'log', 'log1p', 'logistic',
    'round', 'rsqrt', 'sign', 'sin', 'sinh', 'sqrt', 'square', 'tan', 'tanh',
])  # fmt: skip
BINARY = frozenset(['atan2', 'div', 'max', 'min', 'nextafter', 'pow', 'rem'])  # nonlinear in one operand too
ELEMENTWISE = UNARY | BINARY | frozenset([
    'add', 'add_any', 'and', 'clamp', 'convert_element_type', 'copy', 'eq', 'ge', 'gt', 'is_finite', 'le',
    'lt', 'mul', 'ne', 'neg', 'not', 'or', 'select_n', 'stop_gradient', 'sub', 'xor',
])  # fmt: skip
LARGEST = ('max', 'reduce_max', 'reduce_window_max', 'cummax')
SMALLEST = ('min', 'reduce_min', 'reduce_window_min', 'cummin')
PRODUCTS = ('mul', 'dot_general', 'conv_general_dilated')
LOOPS = ('while', 'cond')

Function = Callable[..., Array]


class Both(NamedTuple):
    """A value in the program, and what it is for the baseline; None where that is the same."""

    value: Array
    reference: Array | None


def logits_from_baseline(apply: Apply, params: Params, x: Array, base: Array) -> tuple[Array, Array]:
    """The logits of `x` and those of `base`; the gradient of the former to `x` is made of DeepLIFT's multipliers."""
    program = jax.make_jaxpr(apply)(params, x)
    leaves = [Both(leaf, None) for leaf in jax.tree.leaves(params)]
    (logits,) = traced_programs.run(
        program.jaxpr, program.consts, [*leaves, Both(x, base)], _rescaled, traced_programs.wrapped_or_derived
    )
    return logits.value, base_of(logits)


def base_of(both: Both) -> Array:
    """The value for the baseline."""
    return both.value if both.reference is None else both.reference


def _rescaled(step: JaxprEqn, given: list[Any]) -> list[Both] | None:
    """The outputs of a step at the inputs and at the baseline; None for one whose own steps are to be run."""
    pairs = [part if isinstance(part, Both) else Both(jnp.asarray(part), None) for part in given]
    values, references = [pair.value for pair in pairs], [base_of(pair) for pair in pairs]
    varying = [place for place, pair in enumerate(pairs) if pair.reference is not None]
    if not varying:
        return [Both(value, None) for value in traced_programs.bind(step, values)]
    name = step.primitive.name
    if name in LOOPS:
        raise ValueError(
            f'deep_lift: the network has a loop ({name}) in which nonlinear functions cannot be seen; write it with '
            'jax.lax.scan, or out in full'
        )
    if name == 'stop_gradient':  # a softmax is less its largest logit, which changes too
        return [pairs[0]]
    if _unary(step, varying):
        return [_secant(_of_one(step, values, varying[0]), pairs[varying[0]])]
    if traced_programs.wrapped_or_derived(step) is not None:
        return None
    if name in (*LARGEST, *SMALLEST):
        return [_extreme(step, [pairs[place] for place in varying], name in SMALLEST)]
    if name in PRODUCTS and len(varying) == 2:
        return [_product(lambda one, two: traced_programs.bind(step, [one, two])[0], *pairs)]
    if name == 'div' and len(varying) == 2:
        return [_product(jnp.multiply, pairs[0], _secant(jnp.reciprocal, pairs[1]))]
    outputs = (traced_programs.bind(step, part) for part in (values, references))
    return [Both(value, reference) for value, reference in zip(*outputs, strict=True)]


def _of_one(step: JaxprEqn, values: list[Array], place: int) -> Function:
    """A step as a function of one of its operands."""

    def function(value: Array) -> Array:
        (output,) = traced_programs.bind(step, [*values[:place], value, *values[place + 1 :]])
        changed: Array = output
        return changed

    return function


def _unary(step: JaxprEqn, varying: Sequence[int]) -> bool:
    """True of a nonlinear function of one value at each place: a step, or one that wraps several, as a rectifier."""
    name = step.primitive.name
    if len(varying) != 1 or len(step.outvars) != 1:
        return False
    if name in UNARY or name == 'clamp':
        return True
    if name in BINARY:
        return name != 'div' or varying[0] == 1
    inner = traced_programs.wrapped_or_derived(step)
    alike = traced_programs.shape_of(step.invars[varying[0]]) == traced_programs.shape_of(step.outvars[0])
    return inner is not None and name != 'scan' and alike and _elementwise(inner[0])


def _elementwise(program: Jaxpr) -> bool:
    for step in program.eqns:
        inner = traced_programs.wrapped_or_derived(step)
        scalar = step.primitive.name == 'broadcast_in_dim' and not traced_programs.shape_of(step.invars[0])
        if not (scalar or step.primitive.name in ELEMENTWISE or (inner is not None and _elementwise(inner[0]))):
            return False
    return True


def _secant(function: Function, pair: Both) -> Both:
    """A function of one value, whose derivative is its slope between the input and the baseline."""
    reference = base_of(pair)
    at_base = function(reference)

    def slope(values: tuple[Array, ...], gradient: Array) -> tuple[Array]:
        (value,) = values
        outputs, pull = jax.vjp(function, value)
        far = value - reference
        near = jnp.abs(far) < EQUAL
        return (jnp.where(near, pull(gradient)[0], gradient * (outputs - at_base) / jnp.where(near, 1, far)),)

    return Both(_with_derivative(function, slope)(pair.value), at_base)


def _extreme(step: JaxprEqn, pairs: list[Both], smallest: bool) -> Both:
    """A maximum or minimum over some of the values."""
    references = [base_of(pair) for pair in pairs]

    def function(*values: Array) -> Array:
        given = iter(values)
        operands = [atom.val if isinstance(atom, Constant) else next(given) for atom in step.invars]
        output: Array = traced_programs.bind(step, operands)[0]
        return output

    at_base = function(*references)

    def slope(values: tuple[Array, ...], gradient: Array) -> tuple[Array, ...]:
        outputs, pull = jax.vjp(function, *values)
        _, pull_base = jax.vjp(function, *references)
        middle = (jnp.minimum if smallest else jnp.maximum)(outputs, at_base)
        ups, downs = pull(gradient * (middle - at_base)), pull_base(gradient * (outputs - middle))
        far = [value - reference for value, reference in zip(values, references, strict=True)]
        return tuple(
            jnp.where(jnp.abs(part) < EQUAL, plain, (up + down) / jnp.where(jnp.abs(part) < EQUAL, 1, part))
            for part, plain, up, down in zip(far, pull(gradient), ups, downs, strict=True)
        )

    return Both(_with_derivative(function, slope)(*[pair.value for pair in pairs]), at_base)


def _product(function: Function, one: Both, two: Both) -> Both:
    """A product of two values that both change, linear in each."""

    def slope(values: tuple[Array, ...], gradient: Array) -> tuple[Array, ...]:
        means = [(value + base_of(pair)) / 2 for value, pair in zip(values, (one, two), strict=True)]
        parts: tuple[Array, ...] = jax.vjp(function, *means)[1](gradient)
        return parts

    return Both(_with_derivative(function, slope)(one.value, two.value), function(base_of(one), base_of(two)))


def _with_derivative(function: Function, slope: Callable[[tuple[Array, ...], Array], tuple[Array, ...]]) -> Function:
    @jax.custom_vjp
    def call(*values: Array) -> Array:
        return function(*values)

    call.defvjp(lambda *values: (function(*values), values), slope)
    changed: Function = call
    return changed
