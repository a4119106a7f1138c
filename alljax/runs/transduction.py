"""Test cells in the sets whose own unlabelled statistics a model is to use: each slide, or all together."""

import logging
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Integer, UInt8

from alljax.data.cells import Cells
from alljax.data.groups import members_of_each
from alljax.errors import UserError
from alljax.models import Model, Variables
from alljax.training import new_statistics

log = logging.getLogger(__name__)
ENDINGS = {'slide': 'each unlabelled test slide', 'set': 'the unlabelled test set'}

# variables and images to logits
Ask = Callable[[Variables, UInt8[np.ndarray, 'cells height width 3']], Float[np.ndarray, 'cells classes']]


class Sets(NamedTuple):
    """The sets of some cells; every cell is in one."""

    members: list[Integer[np.ndarray, ' _']]  # places of its cells
    alone: int  # sets of one cell, for which training's statistics stand


def sets_of(cells: Cells, unit: str) -> Sets:
    """The cells by slide, or all in one set; `unit` is 'slide' or 'set'."""
    members = members_of_each(cells.groups if unit == 'slide' else np.zeros(len(cells), np.int32))
    alone = sum(len(places) == 1 for places in members)
    if alone:
        log.warning('%d of %d sets hold one cell, which is no sample: the statistics of training stand for them', alone,
                    len(members))  # fmt: skip
    return Sets(members, alone)


def logits_by_set(
    model: Model, variables: Variables, test: Cells, unit: str, ask: Ask
) -> tuple[Float[np.ndarray, 'test classes'], dict[str, object]]:
    """The logits of test cells under the batch statistics of their own sets, and the part of results.json on these.

    `ask` gives logits with the variables that it is handed.
    """
    sets = sets_of(test, unit)
    own = variables_by_set(model, variables, test, sets)
    parts = [ask(adapted, test.images[places]) for places, adapted in zip(sets.members, own, strict=True)]
    rows = np.concatenate(parts)[np.argsort(np.concatenate(sets.members))]
    return rows, about('batch normalization: the statistics', unit, sets)


def variables_by_set(model: Model, variables: Variables, test: Cells, sets: Sets) -> Iterator[Variables]:
    """The variables under the batch statistics of each set of test cells, in the order of the sets."""
    chunk = min(new_statistics.CHUNK, max(map(len, sets.members)))
    estimate = new_statistics.make_estimate(model)
    for places in sets.members:
        yield new_statistics.with_statistics_of(estimate, variables, test.images[places], chunk)


def about(what: str, unit: str, sets: Sets) -> dict[str, object]:
    """The `transductive` part of results.json: whose statistics `what` uses, and of how many sets."""
    return {'uses': f'{what} of {ENDINGS[unit]}', 'sets': len(sets.members), 'sets of one cell': sets.alone}


def need_slides(cells: Cells, field: str, value: str) -> None:
    """UserError if it is not known which cells are of one slide."""
    if cells.origin.grouping != 'patient or slide':
        raise UserError(
            f'{field} is {value}, but the slides of these cells are not known (groups: {cells.origin.grouping}); name '
            f'them in groups.csv, or set {field} to {value.replace("slide", "set")}'
        )
