"""The cells of a run by fingerprint, so that it neither goes on nor is scored on others."""

from pathlib import Path
from typing import Any

from alljax.config.plan import Plan
from alljax.data.cells import Cells
from alljax.errors import UserError


def facts(plan: Plan, cells: Cells) -> dict[str, Any]:
    """The facts by which a checkpoint and a model know the run that they are of."""
    return {'fingerprint': cells.origin.fingerprint, 'seed': plan.seed}


def same_data(fingerprint: str, cells: Cells, folder: Path) -> None:
    """UserError if a run was on other cells than these."""
    if fingerprint != cells.origin.fingerprint:
        raise UserError(
            f'--workdir={folder}: was trained on other cells than those now in {cells.origin.root} (a file, label or '
            'group has changed); restore them, or start a new --workdir'
        )
