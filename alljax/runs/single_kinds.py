"""The kinds of runs that make one model, a network or a classical system: an ensemble is made of such.

Each is imported when it is asked for: whoever has a network waits for no classifiers of scikit-learn.
"""

from pathlib import Path

from alljax.config.plan import Plan
from alljax.errors import UserError
from alljax.runs.kind import Kind
from alljax.storage.card import Card


def of_plan(plan: Plan) -> Kind:
    """The kind of run that the plan of a single model asks for."""
    return _kind(system=plan.system is not None)


def of_card(card: Card, folder: Path) -> Kind:
    """The kind of a single model; UserError if its folder holds an ensemble."""
    if card.members:
        raise UserError(f'{folder}: holds an ensemble; expected a network or a classical system')
    return _kind(system=card.system is not None)


def _kind(system: bool) -> Kind:
    if system:
        from alljax.runs.classical_system_kind import SYSTEM

        return SYSTEM
    from alljax.runs.network_kind import NETWORK

    return NETWORK
