"""The files of cells on the disk, where accents may be written in another way than in the names of cells."""

from pathlib import Path

from alljax.data import npz_pictures
from alljax.data.cells import Cells
from alljax.data.datasets import DATASETS, tables
from alljax.errors import UserError


def of_cells(cells: Cells) -> list[Path]:
    """The file of each cell; UserError if some are no longer there."""
    root = Path(cells.origin.root)
    named = [root / name for name in cells.names]
    if all(path.is_file() or npz_pictures.place(path) for path in named):
        return named
    dataset = DATASETS.get(cells.origin.name)
    if dataset is None or not root.is_dir():
        raise UserError(f'{root}: its files are no longer there; restore them')
    records = dataset.list_cells(root, next(iter(dataset.tasks))).records
    on_disk = {tables.normal(record.file): record.file for record in records}
    absent = [name for name in cells.names if name not in on_disk]
    if absent:
        raise UserError(f'{root}: {absent[0]} is no longer there; restore it')
    return [root / on_disk[name] for name in cells.names]
