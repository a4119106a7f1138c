"""Programs that JAX traced, run step by step, so that single steps can be looked at or replaced.

So what is found in them, such as rectifiers or attention, is found in a network of any library.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn
from jax.extend.core import Literal as Constant

Program = tuple[Jaxpr, Sequence[Any]]  # and its constants
Change = Callable[[JaxprEqn, list[Any]], list[Any] | None]  # (step, its inputs) to its outputs, None for its own
Opened = Callable[[JaxprEqn], Program | None]  # the program inside a step that is to be run in its place
WRAPPERS = ('jit', 'pjit', 'checkpoint', 'remat', 'remat2')
DERIVED = ('custom_jvp_call', 'custom_vjp_call', 'custom_vjp_call_jaxpr')  # with derivatives of their own
PROGRAMS = ('jaxpr', 'call_jaxpr', 'fun_jaxpr')  # the parameters in which a step keeps its program


def run(
    program: Jaxpr, constants: Sequence[Any], inputs: Sequence[Any], change: Change, opened: Opened
) -> list[Any]:  # fmt: skip
    """The outputs of a traced program where `change` gives those of single steps.

    A step that it leaves alone, and that `opened` finds a program in, is run step by step too; a loop (`scan`) then is
    rolled out. Values are arrays, or trees of some, if `change` takes and gives those.
    """
    values = dict(zip([*program.constvars, *program.invars], [*constants, *inputs], strict=True))

    def read(atom: Any) -> Any:
        return atom.val if isinstance(atom, Constant) else values[atom]

    for step in program.eqns:
        given = [read(atom) for atom in step.invars]
        outputs = change(step, given)
        if outputs is None:
            inner = opened(step)
            if inner is None:
                outputs = bind(step, given)
            elif step.primitive.name == 'scan':
                outputs = _rolled_out(step, inner, given, change, opened)
            else:
                outputs = run(*inner, given, change, opened)
        values |= zip(step.outvars, outputs, strict=True)
    return [read(atom) for atom in program.outvars]


def bind(step: JaxprEqn, given: Sequence[Any]) -> list[Any]:
    """The outputs of a step as it stands."""
    outputs = step.primitive.bind(*given, **step.primitive.get_bind_params(step.params))
    return list(outputs) if step.primitive.multiple_results else [outputs]


def wrapped(step: JaxprEqn) -> Program | None:
    """The program of a step that only wraps one, as `jax.jit` and `jax.checkpoint` do."""
    return inside(step) if step.primitive.name in WRAPPERS else None


def wrapped_or_derived(step: JaxprEqn) -> Program | None:
    """The program of a step that wraps one, gives it a derivative of its own, or repeats it."""
    return inside(step) if step.primitive.name in (*WRAPPERS, *DERIVED, 'scan') else None


def inside(step: JaxprEqn) -> Program:
    """The program that a step keeps."""
    program = next(step.params[name] for name in PROGRAMS if name in step.params)
    return opened_program(program)


def opened_program(program: Any) -> Program:
    """A program and its constants, closed over them or not: releases of JAX differ."""
    return getattr(program, 'jaxpr', program), getattr(program, 'consts', ())


def shape_of(atom: Any) -> tuple[int, ...]:
    """The shape of an operand or a result of a step."""
    return tuple(atom.aval.shape)


def contains(program: Jaxpr, wanted: Callable[[JaxprEqn], bool]) -> bool:
    """True of a program with such a step, also within those that its steps wrap or repeat."""
    return any(
        wanted(step) or (inner is not None and contains(inner[0], wanted))
        for step in program.eqns
        for inner in [wrapped_or_derived(step)]
    )


def _rolled_out(step: JaxprEqn, inner: Program, given: list[Any], change: Change, opened: Opened) -> list[Any]:
    """The outputs of a loop, whose body is run as often as it says."""
    constants, carried = _arguments(step)
    fixed, carry, rows = given[:constants], given[constants : constants + carried], given[constants + carried :]
    order = range(step.params['length'])
    collected: list[list[Any]] = []
    for row in reversed(order) if step.params['reverse'] else order:
        slices = [jax.tree.map(lambda leaf: leaf[row], part) for part in rows]  # noqa: B023
        outputs = run(*inner, [*fixed, *carry, *slices], change, opened)
        carry = outputs[:carried]
        collected.append(outputs[carried:])
    if step.params['reverse']:
        collected.reverse()
    stacked = [jax.tree.map(lambda *leaves: jnp.stack(leaves), *column) for column in zip(*collected, strict=True)]
    return [*carry, *stacked]


def _arguments(step: JaxprEqn) -> tuple[int, int]:
    """The numbers of constants of a loop and of values that it carries on; JAX 0.12 keeps their trees instead."""
    if 'num_consts' in step.params:
        return step.params['num_consts'], step.params['num_carry']
    constants, carried, _ = (len(list(part)) for part in step.params['ft_in'].unpack())
    return constants, carried
