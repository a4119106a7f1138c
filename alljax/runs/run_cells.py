"""The cells of a run: those of its data set, split, and those of the second set, some of which may train."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alljax.config.plan import Plan
from alljax.data import all_idb, datasets, external
from alljax.data.cells import Cells
from alljax.data.external import ExternalCells
from alljax.data.protocol import COPY_MARK, divide
from alljax.data.split import SEED_STEP, Index, Split
from alljax.fields import whole_fields

log = logging.getLogger(__name__)


class SecondSet(NamedTuple):
    """The second set of a run: which of its cells train, and which are tested."""

    set: ExternalCells
    train: Index
    test: Index


class RunCells(NamedTuple):
    """All cells of a run."""

    sources: Cells  # the data set, as it was loaded
    cells: Cells  # the same with copies, and with the cells of the second set that train
    parts: Split
    second: SecondSet | None

    @property
    def copies(self) -> int:
        """The number of copies among the cells."""
        return len(self.cells) - len(self.sources) - (len(self.second.train) if self.second else 0)

    @property
    def training_copies(self) -> int:
        """The number of copies on the training side."""
        return training_copies(self.cells, self.parts, len(self.sources))

    def trained(self) -> Index:
        """The places in `sources` of all cells that train or choose, as they are or as a copy."""
        place = {name: number for number, name in enumerate(self.sources.names)}
        side = np.concatenate([self.parts.train, self.parts.validation])
        names = [self.cells.names[index] for index in side if not self.cells.names[index].startswith(external.MARK)]
        return np.unique([place[name] if name in place else place[name.rpartition(COPY_MARK)[0]] for name in names])


def training_copies(cells: Cells, parts: Split, sources: int) -> int:
    """The number of copies among the training cells, where the first so many cells are no copies."""
    added = [cells.names[index] for index in parts.train[parts.train >= sources]]
    return sum(not name.startswith(external.MARK) for name in added)


def load(plan: Plan, *, test: bool = True) -> RunCells:
    """The cells of a plan; without `test` the second set is loaded only if some of it trains.

    UserError with the problems of either folder.
    """
    sources = datasets.load(plan.data, plan.seed)
    second = load_second(plan, sources) if plan.external.root and (test or plan.external.adapts) else None
    return divided(plan, sources, second)


def warn_of_fields(sources: Cells) -> None:
    """Says in the log if pictures of class folders look like whole fields, which a run takes for single cells."""
    if sources.origin.name == 'folder' and not sources.origin.synthetic:
        root = Path(sources.origin.root)
        if said := whole_fields.sentence([root / name for name in sources.names]):
            log.warning('%s: %s', root, said)


def load_second(plan: Plan, sources: Cells) -> ExternalCells:
    """The second set of a plan; UserError with its problems, and if it may not be tested beside the first."""
    second = external.load(
        plan.external,
        sources.classes,
        plan.data.size,
        plan.data.denoise,
        device_cache_mb=plan.data.device_cache_mb,
        need_memory=plan.data.need_memory,
    )
    all_idb.refuse_both(all_idb.which(sources), second.cells)
    return second


def divided(plan: Plan, sources: Cells, second: ExternalCells | None) -> RunCells:
    """The cells of a plan when both sets are loaded: split, with copies, the second's training cells at the end."""
    cells, parts = divide(sources, plan.split, plan.augmentation, plan.seed)
    if second is None:
        return RunCells(sources, cells, parts, None)
    draw = plan.seed + SEED_STEP * plan.split.repeat
    train, test = external.adaptation(second.cells, plan.external, draw)
    if len(train):
        added = np.arange(len(cells), len(cells) + len(train))
        cells = external.joined(cells, second.cells.take(train))
        parts = parts._replace(train=np.concatenate([parts.train, added]))
    return RunCells(sources, cells, parts, SecondSet(second, train, test))


def divided_without_images(plan: Plan, sources: Cells, second: ExternalCells | None) -> RunCells:
    """As `divided`, but with pictures of one pixel: who trains and tests, without the work."""
    thin = second and second._replace(cells=_one_pixel(second.cells))
    return divided(plan, _one_pixel(sources), thin)


def _one_pixel(cells: Cells) -> Cells:
    return replace(cells, images=np.zeros((len(cells), 1, 1, 3), np.uint8))
