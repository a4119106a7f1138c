"""The checkpoints of a training run: the last two are kept, and what is damaged is told and passed over."""

import json
import logging
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from alljax.errors import UserError
from alljax.storage import checksums, hosts
from alljax.storage.atomic import delete, delete_abandoned, new_folder, write_json
from alljax.storage.checksums import Damaged
from alljax.storage.disk_errors import disk_errors_explained
from alljax.storage.format_version import FORMAT, check_format
from alljax.storage.json_records import read_object
from alljax.storage.tree_folder import Tree, read_tree, write_tree

Position = dict[str, Any]  # JSON values, which mean something only to whoever saves and restores them

TREE, FACTS = 'tree', Path('facts', 'metadata')  # in the folder of a step; named as in every release
ARRAYS, CHECKSUM = 'arrays', 'checksum'  # keys of the facts: checksums of the arrays, and of the facts themselves
KEPT = 2  # checkpoints: a loss of power or a bad sector may spoil one
PART = 'part of step'  # what the first process tells the others
ASIDE = '.damaged'  # ends the name of a checkpoint that could not be read

log = logging.getLogger(__name__)


class Checkpoints:
    """The last states of a training run, saved in the background; an interrupted save leaves those before intact.

    One process at a time may hold the folder: whatever it finds half written there is of a process that was killed.
    Of several that train together it is the first one; each of them writes its part of the arrays, and all save and
    read the same steps.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        if hosts.is_first():
            with disk_errors_explained(folder):
                folder.mkdir(parents=True, exist_ok=True)
                _sweep(folder)
        self._last: int | None = None  # step that was read or saved
        self._worker = ThreadPoolExecutor(1, thread_name_prefix='checkpoint')
        self._saving: Future[None] | None = None

    def latest(self) -> tuple[Tree, Position] | None:
        """The last whole state and the position saved with it; None if there is none.

        A damaged checkpoint is put aside, saying so in the log. UserError if there are only damaged ones.
        """
        self.wait()
        if hosts.is_first():
            step, found = self._latest() or (None, None)
            hosts.tell('checkpoint', json.dumps(step))
        else:
            step = json.loads(hosts.told('checkpoint'))
            with disk_errors_explained(self.folder):
                found = None if step is None else _read(self.folder / str(step))
        self._last = step
        return found

    def _latest(self) -> tuple[int, tuple[Tree, Position]] | None:
        """The step of the last whole state, and what `latest` gives; None if there is none."""
        problems: dict[int, str] = {}
        for step in sorted(self._steps(), reverse=True):
            place = self.folder / str(step)
            try:
                with disk_errors_explained(self.folder):
                    tree, position = _read(place)
            except Damaged as error:
                problems[step] = f'{place}: {error}'
                continue
            check_format(position, self.folder)
            for damaged, problem in problems.items():
                log.warning('%s; this checkpoint is damaged: going on from the one before, of step %d', problem, step)
                self._put_aside(damaged)
            return step, (tree, position)
        if problems:
            raise UserError(
                f'{"; ".join(problems.values())}; no checkpoint is whole: delete {self.folder} and give the same '
                'command again, which trains from the start'
            )
        return None

    def save(self, step: int, tree: Tree, position: Position) -> None:
        """Starts saving, unless this step is saved already; raises what went wrong with the save before.

        The tree is copied first, because the next step overwrites the buffers that were donated to it: to host memory,
        or, where several processes write it, on the devices.
        """
        self.wait()
        alone = hosts.count() == 1
        if step in self._steps() if alone else step == self._last:  # what others have put on the disk may be seen later
            return
        self._last = step
        copy = jax.tree.map(lambda leaf: np.array(leaf), tree) if alone else _copied(tree)
        write = self._write if hosts.is_first() else self._write_part
        self._saving = self._worker.submit(write, step, copy, {**position, 'format': FORMAT})

    def wait(self) -> None:
        """Returns when the last save is on disk, or raises what went wrong with it."""
        saving, self._saving = self._saving, None
        if saving:
            with disk_errors_explained(self.folder):
                saving.result()

    def close(self) -> None:
        """Ends the background work, whatever became of it: `wait` tells. A process that is gone is not waited for."""
        self._worker.shutdown(wait=hosts.count() == 1)

    def _write(self, step: int, tree: Tree, facts: Position) -> None:
        with new_folder(self.folder / str(step)) as part:
            hosts.tell(f'{PART} {step}', part.name)
            facts = {**facts, ARRAYS: write_tree(part / TREE, tree, together=hosts.count() > 1)}
            (part / FACTS).parent.mkdir()
            write_json(part / FACTS, {**facts, CHECKSUM: checksums.of_values(facts)})
        for old in sorted(self._steps())[:-KEPT]:  # the new one is on the disk by now
            delete(self.folder / str(old))
        for damaged in self.folder.glob(f'*{ASIDE}'):
            delete(damaged)

    def _write_part(self, step: int, tree: Tree, facts: Position) -> None:
        """The part of `_write` that each process but the first does."""
        write_tree(self.folder / hosts.told(f'{PART} {step}') / TREE, tree, together=True)

    def _steps(self) -> list[int]:
        return [int(path.name) for path in self.folder.iterdir() if path.name.isdecimal()]

    def _put_aside(self, step: int) -> None:
        place = self.folder / f'{step}{ASIDE}'
        delete(place)
        (self.folder / str(step)).replace(place)


@jax.jit
def _copied(tree: Tree) -> Tree:
    return jax.tree.map(jnp.copy, tree)


def kept(folder: Path) -> list[tuple[int, Tree]]:
    """The step and the state of each whole checkpoint in a folder, the first of them first; none without a folder.

    Nothing in it is changed: a damaged one is told in the log, and passed over.
    """
    found = []
    steps = [int(path.name) for path in folder.iterdir() if path.name.isdecimal()] if folder.is_dir() else []
    for step in sorted(steps):
        place = folder / str(step)
        try:
            with disk_errors_explained(folder):
                tree, position = _read(place)
        except Damaged as error:
            log.warning('%s: %s; this checkpoint is damaged, and left out', place, error)
            continue
        check_format(position, folder)
        found.append((step, tree))
    return found


def _read(place: Path) -> tuple[Tree, Position]:
    """The tree and position of one checkpoint; those of earlier releases have no checksums."""
    try:
        facts = dict(read_object(place / FACTS))
    except Damaged as error:
        raise Damaged(f'{FACTS} {error}') from None
    if CHECKSUM in facts and facts.pop(CHECKSUM) != checksums.of_values(facts):
        raise Damaged(f'{FACTS} is not as it was written')
    return read_tree(place / TREE, facts.pop(ARRAYS, None)), facts


def _sweep(folder: Path) -> None:
    """Deletes what a killed process left half written, also one of an earlier release."""
    delete_abandoned(folder)
    for path in folder.glob('*.orbax-checkpoint-tmp*'):
        delete(path)


def need_space(state: Any, folder: Path) -> None:
    """UserError if the disk cannot hold what the run will save: three checkpoints, each with the best, and the model.

    Two are kept while the third is written.
    """
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(state))
    need, free = 5 * size, shutil.disk_usage(folder).free
    if free < need:
        raise UserError(
            f'--workdir={folder}: has {free / 1e9:.1f} GB free, checkpoints need {need / 1e9:.1f} GB; free some, or '
            'choose a --workdir on another disk'
        )
