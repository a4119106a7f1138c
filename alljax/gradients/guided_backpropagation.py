"""Guided backpropagation and the deconvolution rule: rectifiers let other gradients back through.

The rectifiers are found in the program that JAX traces, so any network that has some will do, in whatever library it is
written, and nothing has to be put into its place beforehand.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import JaxprEqn
from jax.extend.core import Literal as Constant
from jaxtyping import Array, Int

from alljax.gradients import batching, traced_programs
from alljax.gradients.argument_checks import check_counts
from alljax.gradients.gradient_attribution import InputGradient, to_input
from alljax.gradients.network_checks import prepare
from alljax.gradients.traced_programs import Program
from alljax.gradients.typing import Apply, Attribution, Inputs, Network, Params, Target

GATES = ('hard_sigmoid', 'hard_silu', 'hard_swish')  # of JAX: a clipped line, but not a rectifier
Rule = Callable[[Array, Array], Array]  # (input of the rectifier, gradient to its output) to gradient to its input

RULES: dict[str, Rule] = {
    'guided': lambda x, gradient: jnp.where((x > 0) & (gradient > 0), gradient, 0),
    'deconv': lambda x, gradient: jnp.where(gradient > 0, gradient, 0),
}


def guided_backprop(
    apply: Network, params: Params, x: Inputs, target: Target, *, rule: Literal['guided', 'deconv'] = 'guided',
    batch_size: int | None = None,
) -> Attribution:  # fmt: skip
    """The gradient to the input where rectifiers pass on positive gradients only.

    'guided' also keeps their own rule (Springenberg et al. 2014, arXiv:1412.6806), 'deconv' replaces it (Zeiler &
    Fergus 2013, arXiv:1311.2901). The map is as that of `saliency`. ValueError for a network without rectifiers, for
    which this would be plain saliency. A maximum over equal values, as in a pool of zeros, divides the gradient among
    them, where other libraries give it to the first. Neither rule depends much on the weights
    (`parameter_randomization` measures how little): they show edges, not what the decision rests on. Inputs are floats
    of any rank. Can be jitted.

    >>> gradients.guided_backprop(model, variables, x, y).map.shape
    (4, 8, 8, 3)
    """
    if rule not in RULES:
        raise ValueError(f'rule is {rule!r}; it may be {" or ".join(map(repr, RULES))}')
    check_counts('guided_backprop', batch_size=batch_size)
    function, wanted = prepare('guided_backprop', apply, params, x, target)
    return Attribution(batching.rows(partial(_guided, function, params, rule=rule), batch_size, x, wanted))


def with_rule(apply: Apply, rule: Rule) -> Apply:
    """`apply` with the rule at each of its rectifiers: `jax.nn.relu`, `relu6` and maxima with a constant zero.

    Others are left as they are: `jnp.where(x > 0, x, 0)`, and whatever is inside a loop.
    """

    def changed(params: Params, x: Array) -> Array:
        program, shape = jax.make_jaxpr(apply, return_shape=True)(params, x)
        rectify, found = _with(rule), []

        def replaced(step: JaxprEqn, given: list[Any]) -> list[Array] | None:
            if not _rectifies(step):
                return None
            found.append(step)
            return [rectify(next(value for value, atom in zip(given, step.invars, strict=True) if not _zero(atom)))]

        outputs = traced_programs.run(program.jaxpr, program.consts, jax.tree.leaves((params, x)), replaced, _inner)
        if not found:
            raise ValueError('the network has no rectifiers, so this rule changes nothing; use saliency')
        logits: Array = jax.tree.unflatten(jax.tree.structure(shape), outputs)
        return logits

    return changed


@partial(jax.jit, static_argnames=('apply', 'rule'))
def _guided(apply: Apply, params: Params, x: Array, wanted: Int[Array, ' batch'], rule: str) -> InputGradient:
    return to_input(with_rule(apply, RULES[rule]), params, x, wanted)


def _with(rule: Rule) -> Callable[[Array], Array]:
    @jax.custom_vjp
    def rectify(x: Array) -> Array:
        return jnp.maximum(x, 0)

    rectify.defvjp(lambda x: (jnp.maximum(x, 0), x), lambda x, gradient: (rule(x, gradient),))
    return rectify


def _rectifies(step: JaxprEqn) -> bool:
    """True of a step that is a maximum of one operand and zero."""
    return step.primitive.name == 'max' and sum(map(_zero, step.invars)) == 1


def _inner(step: JaxprEqn) -> Program | None:
    """The program of a step that only wraps one, as `jax.jit` and `jax.checkpoint` do, and its constants.

    So do `jax.nn.relu` and `relu6`, whose own derivative the rule is to replace.
    """
    if step.params.get('name') in GATES:
        return None
    if step.primitive.name == 'custom_jvp_call':
        return traced_programs.inside(step) if _clips(step.params['call_jaxpr']) else None
    return traced_programs.wrapped(step)


def _clips(program: Any) -> bool:
    """True of a program that is made of minima and maxima alone."""
    steps = traced_programs.opened_program(program)[0].eqns
    inner = [_inner(step) for step in steps]
    return all(_clips(part[0]) if part else step.primitive.name in ('max', 'min')
               for step, part in zip(steps, inner, strict=True))  # fmt: skip


def _zero(atom: Any) -> bool:
    return isinstance(atom, Constant) and np.ndim(atom.val) == 0 and bool(atom.val == 0)
