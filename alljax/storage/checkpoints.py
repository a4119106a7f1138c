"""Trees on disk: the only file that knows Orbax. A folder of another format than FORMAT is refused by name."""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from alljax.errors import UserError

FORMAT = 1
Tree = Any

logging.getLogger('absl').setLevel(logging.ERROR)  # Orbax reports every file it touches there


class Checkpoints:
    """The last state of a training run, saved in the background; an interrupted save leaves the one before intact."""

    def __init__(self, folder: Path):
        self.folder = folder
        options = ocp.CheckpointManagerOptions(max_to_keep=1, create=True)
        with _told(folder):
            self._manager = ocp.CheckpointManager(folder.resolve(), options=options)

    def latest(self) -> tuple[Tree, dict[str, Any]] | None:
        """The last whole state and the facts saved with it; None if there is none."""
        step = self._manager.latest_step()
        if step is None:
            return None
        args = ocp.args.Composite(tree=ocp.args.StandardRestore(), facts=ocp.args.JsonRestore())
        with _told(self.folder):
            restored = self._manager.restore(step, args=args)
        _check_format(restored['facts'], self.folder)
        return restored['tree'], restored['facts']

    def save(self, step: int, tree: Tree, facts: dict[str, Any]) -> None:
        """Starts saving, unless this step is saved already; raises what went wrong with the save before.

        The tree is copied to host memory first, because the next step overwrites the buffers that were donated to it.
        """
        if step in self._manager.all_steps():
            return
        host = jax.tree.map(lambda leaf: np.array(leaf), tree)
        args = ocp.args.Composite(
            tree=ocp.args.StandardSave(host), facts=ocp.args.JsonSave({**facts, 'format': FORMAT})
        )
        with _told(self.folder):
            self._manager.save(step, args=args, force=True)

    def wait(self) -> None:
        """Returns when the last save is on disk, or raises what went wrong with it."""
        with _told(self.folder):
            self._manager.wait_until_finished()

    def close(self) -> None:
        """Ends the background work, whatever became of it: `wait` tells."""
        with _suppress_all():
            self._manager.close()


@contextmanager
def _suppress_all() -> Iterator[None]:
    """For clean-up after an error that has been told already."""
    try:
        yield
    except Exception:
        logging.getLogger(__name__).debug('clean-up failed', exc_info=True)


def write(folder: Path, tree: Tree, facts: dict[str, Any]) -> None:
    """Writes a tree and facts.json to `folder`, replacing an earlier one only when the new one is whole."""
    slowly = ocp.StandardCheckpointHandler(save_concurrent_gb=1)  # of gigabytes it would hold a second copy otherwise
    with replacing(folder, facts) as part, ocp.Checkpointer(slowly) as checkpointer:
        checkpointer.save(part.resolve() / 'tree', args=ocp.args.StandardSave(jax.tree.map(np.asarray, tree)))


@contextmanager
def replacing(folder: Path, facts: dict[str, Any]) -> Iterator[Path]:
    """A new folder with facts.json to write into, which takes the place of `folder` at the end."""
    part = folder.with_name(f'.{folder.name}.part')
    shutil.rmtree(part, ignore_errors=True)
    with _told(folder):
        part.mkdir(parents=True)
        yield part
        (part / 'facts.json').write_text(json.dumps({**facts, 'format': FORMAT}, indent=2) + '\n')
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)


def read_facts(folder: Path) -> dict[str, Any]:
    """The facts.json of a folder that `write` wrote; UserError if it is none or of another format."""
    path = folder / 'facts.json'
    if not path.is_file():
        raise UserError(f'{folder}: holds no facts.json, so it is no model that alljax saved')
    try:
        facts = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f'{path}: cannot be read ({error}); the model is damaged') from None
    _check_format(facts, folder)
    return facts


def read(folder: Path) -> Tree:
    """The tree of a folder that `write` wrote, as arrays in host memory."""
    read_facts(folder)
    with _told(folder), ocp.StandardCheckpointer() as checkpointer:
        return checkpointer.restore((folder / 'tree').resolve())


def _check_format(facts: dict[str, Any], folder: Path) -> None:
    if facts.get('format') != FORMAT:
        raise UserError(
            f'{folder}: is of format {facts.get("format")}, this release of alljax reads {FORMAT}; '
            'use the release that wrote it, or train again'
        )


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    """Turns what a disk can do to us into one sentence; Orbax reports it under several types."""
    try:
        yield
    except UserError:
        raise
    except (OSError, ValueError, RuntimeError) as error:
        text = str(error)
        if isinstance(error, OSError) or any(word in text for word in DISK):
            cause = (
                'the disk is full' if 'space' in text or 'RESOURCE_EXHAUSTED' in text else text.splitlines()[0][:200]
            )
            raise UserError(
                f'{folder}: cannot be written or read ({cause}); free space or mend its permissions and give the same '
                'command again: it goes on from the last good checkpoint'
            ) from error
        raise


DISK = ('No space left', 'RESOURCE_EXHAUSTED', 'Permission denied', 'PERMISSION_DENIED', 'Read-only', 'File too large',
        'Error writing', 'Error opening', 'NOT_FOUND', 'DATA_LOSS', 'FAILED_PRECONDITION', 'OS error')  # fmt: skip
