"""The cells of a finished run, by file: its test cells with their classes, told from those that trained its model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from alljax.data.datasets import tables
from alljax.errors import UserError
from alljax.runs import results
from alljax.storage import run_folder

# 'unseen' by training: a test cell. 'seen': any other cell of the run's data set.
Side = Literal['seen', 'unseen', 'outside']


class OwnCells(NamedTuple):
    """The cells of a run by their files."""

    root: Path  # of its data set
    tested: Mapping[str, str]  # file, relative to the root → class
    all_seen: bool  # no test cell is new to the model: the split leaks, or its final model was trained on all cells

    def side(self, file: Path) -> Side:
        """The side of the run that a file was on."""
        name = self.name(file)
        return 'outside' if name is None else 'unseen' if name in self.tested and not self.all_seen else 'seen'

    def label(self, file: Path) -> str:
        """The class of a file that is a test cell of the run; '' for any other."""
        return self.tested.get(self.name(file) or '', '')

    def name(self, file: Path) -> str | None:
        """The name of a file in the run's data set; None for one that lies elsewhere."""
        absolute = file.absolute().resolve()
        return tables.normal(absolute.relative_to(self.root).as_posix()) if absolute.is_relative_to(self.root) else None


def of_run(path: Path) -> OwnCells | None:
    """The cells of the finished run in a folder, or of that whose model/ it is; None where nothing tells them.

    So it is for a model without its run, a run on drawn cells, which are no files, and one whose tables are damaged.
    """
    folder = path.absolute().parent if path.name == 'model' else path
    if not run_folder.is_finished(folder):
        return None
    try:
        found, rows = results.read(folder), results.predictions(folder)
    except UserError:
        return None
    root, split = found['data'].get('root', ''), found['split']
    if not root:
        return None
    tested = {tables.normal(row['file']): row['label'] for row in rows}
    everything = len(tested) >= sum(found['data'].get('counts', {}).values()) > 0
    return OwnCells(Path(root).resolve(), tested, bool(split.get('leaky')) or everything)
