"""The cells that a trained run learned from, as they lie in its data set now."""

from pathlib import Path
from typing import NamedTuple

from alljax.config import resolve
from alljax.config.plan import Plan
from alljax.errors import UserError
from alljax.runs import final_model, run_cells
from alljax.runs.network import TrainedNetwork
from alljax.runs.run_cells import RunCells


class RunData(NamedTuple):
    """The plan of a run, and its cells."""

    plan: Plan
    cells: RunCells


def load(run: TrainedNetwork, path: Path, data: Path | None) -> RunData:
    """The plan and the cells of the run that a path means; `data` is the folder of its cells, if they were moved.

    UserError if the folder is none of a run, or its data are gone or are others now.
    """
    plan = resolve.of_run(final_model.run_of(path), data)
    loaded = run_cells.load(plan, test=False)
    if loaded.cells.origin.fingerprint != run.card.fingerprint:
        raise UserError(
            f'{path}: was trained on other cells than those now in {loaded.cells.origin.root}; restore them'
        )
    return RunData(plan, loaded)
