"""A network before its first step: what every training of one begins with, alone or with others."""

from typing import NamedTuple

from alljax.config.plan import Plan
from alljax.data.cells import Cells
from alljax.data.split import Split
from alljax.models import Model, Variables
from alljax.runs import initial_variables, network_options
from alljax.training import layer_decay, learning_rate_factors, new_statistics

TRANSDUCTIVE = {'test_slide': 'slide', 'test_set': 'set'}  # model.statistics → what the card says of it


class TrainingStart(NamedTuple):
    """A network, its variables before the first step, and which of them learn."""

    model: Model
    variables: Variables
    origin: str  # of the variables, in words
    factors: dict[str, float]  # trained parameter → factor on its learning rate


def of_plan(plan: Plan, cells: Cells, parts: Split) -> TrainingStart:
    """The start of a plan's training; UserError for options that cannot work with this network or these cells."""
    model = plan.network.create(len(cells.classes))
    variables, origin = initial_variables.first_variables(plan, model, cells.classes)
    network_options.check(plan, cells, model, variables)
    factors = learning_rate_factors.trained(variables['params'], plan.training.factors, plan.training.freeze)
    factors = layer_decay.decayed(factors, model, variables, plan.training.layer_decay)
    if plan.training.statistics in TRANSDUCTIVE and new_statistics.any_held(variables, factors):
        # What learns behind a frozen layer would else be tested on features of another scale than it learned from.
        variables = new_statistics.adapted(model, variables, cells.images[parts.train])
    return TrainingStart(model, variables, origin, factors)
