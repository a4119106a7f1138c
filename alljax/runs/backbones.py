"""The pretrained networks that a classical system measures with, without their last layers."""

from typing import NamedTuple

from alljax.baselines.systems import System
from alljax.config.plan import MeasuringNetwork, Plan, Start
from alljax.errors import UserError
from alljax.models import Model, NetworkSpec, Variables
from alljax.runs import initial_variables

BODY = 'network'  # the folder of a single one within the model folder; of several, the start of their names


class Body(NamedTuple):
    """A pretrained network without its last layers, and how it was asked for."""

    model: Model
    variables: Variables
    spec: NetworkSpec


def folders(system: System) -> list[str]:
    """The folder of each network within the model folder."""
    return [f'{BODY}_{number}_{name}' for number, name in enumerate(system.networks, 1)] or [BODY]


def of_plan(plan: Plan) -> tuple[tuple[Body, ...], tuple[str, ...]]:
    """The networks that the plan names, without their last layers, and where their variables come from."""
    named = plan.measuring or (MeasuringNetwork(plan.network, plan.start),)
    found = [_body(plan, spec.without_head(), start) for spec, start in named]
    return tuple(body for body, _ in found), tuple(how for _, how in found)


def _body(plan: Plan, spec: NetworkSpec, start: Start) -> tuple[Body, str]:
    if start.new_dense:  # the features after the last convolution: what comes later would be random
        spec = spec._replace(options={**spec.options, 'dense': False})
    if spec.cut(1) is None:
        raise UserError(
            f'config.model.name={spec.name}: is no linen module, so its last layers cannot be left out; '
            "choose another, or leave 'network' out of config.baseline.features"
        )
    model = spec.create(0)
    variables, how = initial_variables.first_variables(plan._replace(start=start), model, ())
    return Body(model, variables, spec), how
