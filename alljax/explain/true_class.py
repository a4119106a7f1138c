"""The true class of pictures that are explained, where their folder or the run tells it."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from alljax.data.class_folders import class_of_folder
from alljax.runs import own_cells

FOLDERS = 2  # that a picture lies in and that may name its class: one of a slide may lie between


class TrueClass(NamedTuple):
    """A class, and who says so."""

    name: str
    source: str


def of_files(files: Iterable[Path], classes: Sequence[str], run: Path) -> Mapping[Path, TrueClass]:
    """The class of each file that has one: by the run whose test cell it is, else by the folder that it lies in."""
    own = own_cells.of_run(run)
    found = {}
    for file in files:
        if own and (label := own.label(file)):
            source = 'by the run; not new to the model' if own.all_seen else 'a test cell of the run'
            found[file] = TrueClass(label, source)
        elif label := class_of_folder('/'.join(file.absolute().parts[-FOLDERS - 1 :]), classes):
            trained = own is not None and own.name(file)
            found[file] = TrueClass(label, 'by its folder' + ('; of the cells that made the model' if trained else ''))
    return found
