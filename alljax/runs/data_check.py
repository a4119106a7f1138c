"""The cells of a run by fingerprint, so that it neither goes on nor is scored on others."""

from pathlib import Path
from typing import Any

from alljax.config.plan import Plan
from alljax.data.cells import Cells
from alljax.errors import UserError
from alljax.storage import hosts
from alljax.storage.streamed_pictures import StreamedPictures


def facts(plan: Plan, cells: Cells) -> dict[str, Any]:
    """The facts by which a checkpoint and a model know the run that they are of."""
    return {'fingerprint': cells.origin.fingerprint, 'seed': plan.seed}


def same_everywhere(cells: Cells) -> None:
    """UserError in a process whose cells, or whose way to hold them, are not those of the first of several."""
    read = isinstance(cells.images, StreamedPictures)
    limit = 'read in batches (config.data.device_cache_mb)'
    hosts.agree('data set', {'fingerprint': cells.origin.fingerprint, 'cells': len(cells), limit: read})


def same_data(fingerprint: str, cells: Cells, folder: Path) -> None:
    """UserError if a run was on other cells than these."""
    if fingerprint != cells.origin.fingerprint:
        raise UserError(
            f'--workdir={folder}: was trained on other cells than those now in {cells.origin.root} (a file, label or '
            'group has changed); restore them, or start a new --workdir'
        )
