"""Trees of arrays on disk, and the checkpoints of a training run: the only file that knows Orbax."""

import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from alljax.storage.disk_errors import disk_errors_explained
from alljax.storage.format_version import FORMAT, check_format

Tree = Any  # nested dictionaries of arrays, as JAX has no type for them
Position = dict[str, Any]  # JSON values, which mean something only to whoever saves and restores them

logging.getLogger('absl').setLevel(logging.ERROR)  # Orbax reports every file it touches there


class Checkpoints:
    """The last state of a training run, saved in the background; an interrupted save leaves the one before intact."""

    def __init__(self, folder: Path):
        self.folder = folder
        options = ocp.CheckpointManagerOptions(max_to_keep=1, create=True)
        with disk_errors_explained(folder):
            self._manager = ocp.CheckpointManager(folder.resolve(), options=options)

    def latest(self) -> tuple[Tree, Position] | None:
        """The last whole state and the position saved with it; None if there is none."""
        step = self._manager.latest_step()
        if step is None:
            return None
        args = ocp.args.Composite(tree=ocp.args.StandardRestore(), facts=ocp.args.JsonRestore())
        with disk_errors_explained(self.folder):
            restored = self._manager.restore(step, args=args)
        check_format(restored['facts'], self.folder)
        return restored['tree'], restored['facts']

    def save(self, step: int, tree: Tree, position: Position) -> None:
        """Starts saving, unless this step is saved already; raises what went wrong with the save before.

        The tree is copied to host memory first, because the next step overwrites the buffers that were donated to it.
        """
        if step in self._manager.all_steps():
            return
        host = jax.tree.map(lambda leaf: np.array(leaf), tree)
        args = ocp.args.Composite(
            tree=ocp.args.StandardSave(host), facts=ocp.args.JsonSave({**position, 'format': FORMAT})
        )
        with disk_errors_explained(self.folder):
            self._manager.save(step, args=args, force=True)

    def wait(self) -> None:
        """Returns when the last save is on disk, or raises what went wrong with it."""
        with disk_errors_explained(self.folder):
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Ends the background work, whatever became of it: `wait` tells."""
        try:
            self._manager.close()
        except Exception:  # `wait` has told what matters
            logging.getLogger(__name__).debug('clean-up failed', exc_info=True)


def write_tree(folder: Path, tree: Tree) -> None:
    """Writes a tree to a folder that is not there yet."""
    slowly = ocp.StandardCheckpointHandler(save_concurrent_gb=1)  # of gigabytes it would hold a second copy otherwise
    with ocp.Checkpointer(slowly) as checkpointer:
        checkpointer.save(folder.resolve(), args=ocp.args.StandardSave(jax.tree.map(np.asarray, tree)))


def read_tree(folder: Path) -> Tree:
    """The tree of a folder that `write_tree` wrote, as arrays in host memory."""
    with ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore(folder.resolve())
