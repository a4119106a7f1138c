"""The cells of a finished run, by file: its test cells with their classes, told from those that trained its model."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from alljax.data import folder_walk
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

    def sides(self, files: Iterable[Path]) -> list[Side]:
        """The side of the run that each file was on, by its place or as an equal file of the run's data set."""
        sizes: dict[int, list[str]] = {}
        for name in folder_walk.walk(self.root).files if self.root.is_dir() else ():
            sizes.setdefault((self.root / name).stat().st_size, []).append(name)
        names = [self.name(file) or self._twin(file, sizes) for file in files]
        return ['outside' if not name else self._side(name) for name in names]

    def label(self, file: Path) -> str:
        """The class of a file that is a test cell of the run; '' for any other."""
        return self.tested.get(self.name(file), '')

    def name(self, file: Path) -> str:
        """The name of a file in the run's data set; '' for one that lies elsewhere."""
        absolute = file.absolute().resolve()
        return tables.normal(absolute.relative_to(self.root).as_posix()) if absolute.is_relative_to(self.root) else ''

    def _side(self, name: str) -> Side:
        return 'unseen' if name in self.tested and not self.all_seen else 'seen'

    def _twin(self, file: Path, sizes: Mapping[int, list[str]]) -> str:
        """The name of an equal file in the data set; '' if there is none, or the file cannot be read."""
        try:
            alike = sizes.get(file.stat().st_size, [])
            content = file.read_bytes() if alike else b''
            found = next((name for name in alike if (self.root / name).read_bytes() == content), '')
        except OSError:
            return ''
        return tables.normal(found)


def of_run(path: Path) -> OwnCells | None:
    """The cells of the finished run in a folder, or of that whose model/ it is; None where nothing tells them.

    So it is for a model without its run, a damaged one, and a run on drawn cells, which are no files.
    """
    folder = run_folder.around(path)
    try:
        found = results.read(folder) if run_folder.is_finished(folder) else {}
    except UserError:
        return None
    root = found.get('data', {}).get('root', '')
    if not root:
        return None
    try:
        tested = {tables.normal(row['file']): row['label'] for row in results.predictions(folder)}
    except UserError:  # none were tested, or nobody knows which
        tested = {}
    everything = len(tested) >= sum(found['data'].get('counts', {}).values())
    return OwnCells(Path(root).resolve(), tested, bool(found['split'].get('leaky')) or everything)
