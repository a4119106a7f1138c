"""The inner folds of a training side, on which each candidate of an ensemble is asked about groups it did not see."""

import hashlib
import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

import alljax
from alljax.config.plan import Candidate, Plan
from alljax.data import protocol, split
from alljax.data.cells import Cells
from alljax.data.split import SEED_STEP, Index, Split
from alljax.errors import UserError
from alljax.runs import network, preparation, single_kinds
from alljax.runs.kind import Probabilities, Trained
from alljax.storage import run_folder
from alljax.storage.atomic import delete, temporary_folder, write_whole
from alljax.storage.image_preparation import CellPreparation

log = logging.getLogger(__name__)
FILE = 'inner.npz'  # of the run folder

Folds = Sequence[tuple[Index, Index]]  # who trains and who is asked


class Sides(NamedTuple):
    """Cells as one candidate takes them, with its own copies, and who trains and who is asked."""

    plan: Plan  # with the stain target of its own training cells
    cells: Cells
    parts: Split


def folds(cells: Cells, count: int, draw: int) -> Folds:
    """The inner folds of the cells of a training side: no group is in two of them, and every class trains in each.

    With fewer groups than `count` there are as many folds as groups. UserError if these cannot be had.
    """
    groups = len(np.unique(cells.groups))
    if groups < 2:
        raise UserError(
            'config.ensemble.candidates are chosen on inner folds that separate no group, and the training side has '
            f'{groups}; name more groups (slides, patients), or train a single model'
        )
    if groups < count:
        log.warning('the training side has %d groups, so there are %d inner folds, not %d', groups, groups, count)
    try:
        found = split.by_group_folds(cells, min(count, groups), draw)
        for train, held in found:
            split.keep_repeats_together(cells, Split(train, train[:0], held, 'grouped'))
    except UserError as error:
        raise UserError(
            *(f'config.ensemble.folds is {count}, of the training side: {said}' for said in error.problems)
        ) from None
    return found


def table(plan: Plan, cells: Cells, parts: Folds, folder: Path) -> Float[np.ndarray, 'candidates cells classes']:
    """The probabilities of each candidate for the cells of a training side, each cell asked when it did not train.

    They are kept in the run folder, candidate by candidate, and taken from there if config and cells are the same.
    """
    keys = [_key(candidate, cells, parts) for candidate in plan.candidates]
    known = _kept(folder / FILE)
    for number, (candidate, key) in enumerate(zip(plan.candidates, keys, strict=True), 1):
        if key not in known:
            said = f'candidate {number} of {len(keys)}, {candidate.name}'
            known[key] = _probabilities(candidate.plan, cells, parts, folder, said)
            _keep(folder / FILE, known, cells, parts)
    return np.stack([known[key] for key in keys])


def sides(plan: Plan, cells: Cells, train: Index, held: Index, known: dict[CellPreparation, Cells]) -> Sides:
    """The cells of a training side as a candidate takes them; all that is measured of them is measured on `train`.

    `known` keeps the last prepared cells for the next fold.
    """
    fraction, draw = plan.split.validation, plan.seed + SEED_STEP * plan.split.repeat
    parts = Split(train, train[:0], held, 'grouped')
    if fraction and not plan.system:
        chosen, validation = split.by_group(cells, train, fraction, draw)
        parts = parts._replace(train=chosen, validation=validation)
    grown, parts = protocol.with_copies(cells, parts, plan.augmentation, plan.seed)
    how = preparation.with_target(plan.preparation, cells, parts)
    if grown is not cells:
        prepared = preparation.of_cells(grown, how)
    else:
        if how not in known:
            known.clear()
            known[how] = preparation.of_cells(cells, how)
        prepared = known[how]
    plan = plan._replace(preparation=how)
    return Sides(plan if plan.system else network.cut_batch_size(plan, prepared, parts), prepared, parts)


def _probabilities(plan: Plan, cells: Cells, parts: Folds, folder: Path, said: str) -> Probabilities:
    """The probabilities of one candidate; what it writes while it trains is deleted."""
    found = np.zeros((len(cells), len(cells.classes)))
    known: dict[CellPreparation, Cells] = {}
    for number, (train, held) in enumerate(parts, 1):
        log.info('%s: inner fold %d of %d', said, number, len(parts))
        own = sides(plan, cells, train, held, known)
        trained = _fitted(own, folder)
        asked = own.cells.take(held)
        found[held], _ = single_kinds.of_plan(plan).by_set(trained, asked, plan.batch_size)
    return found


def _fitted(own: Sides, folder: Path) -> Trained:
    if own.plan.system:
        from alljax.runs import classical_system  # brings scikit-learn

        return classical_system.fitted(own.plan, own.cells, own.parts)
    with temporary_folder(folder / 'inner') as place:
        return network.fit(own.plan, own.cells, own.parts, place)


def _key(candidate: Candidate, cells: Cells, parts: Folds) -> str:
    """A short name for all that the probabilities of a candidate depend on; groups count by who shares one."""
    plan = candidate.plan
    used = {name: value for name, value in plan.fields.items() if name not in run_folder.MAY_CHANGE}
    starts = [plan.start.how, *(one.start.how for one in plan.measuring)]
    facts = [alljax.__version__, used, starts, cells.names, cells.classes, cells.origin.grouping]
    digest = hashlib.sha256(json.dumps(facts, default=str).encode())
    _, groups = np.unique(cells.groups, return_inverse=True)
    for array in (cells.images, cells.labels, groups.astype(np.int64), *(held for _, held in parts)):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]


def _kept(path: Path) -> dict[str, Probabilities]:
    """The probabilities in the file of an earlier start, by key; none if there is no file or, saying so, damage."""
    if not path.exists():
        return {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(zip(arrays['keys'].tolist(), arrays['probabilities'], strict=True))
    except Exception as error:  # a damaged archive may break any line of NumPy and of what it calls
        log.warning('%s: cannot be read (%s); its candidates are asked again', path, error)
        delete(path)
        return {}


def _keep(path: Path, known: dict[str, Probabilities], cells: Cells, parts: Folds) -> None:
    fold = np.zeros(len(cells), int)
    for number, (_, held) in enumerate(parts):
        fold[held] = number
    file = io.BytesIO()
    np.savez(
        file,
        keys=np.array([*known]),
        probabilities=np.stack([*known.values()]),
        names=np.array(cells.names),
        labels=cells.labels,
        groups=cells.groups,
        fold=fold,
    )
    write_whole(path, file.getvalue())
