"""The data sets by name, and the cells of the one that a run is about."""

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from alljax.data import denoise
from alljax.data.cells import Cells
from alljax.data.datasets import all_idb2, folder, synthetic
from alljax.data.datasets.builder import CellsBuilder, read_cells
from alljax.data.datasets.listing import Dataset, Listing, Record, existing_folder
from alljax.data.folder_walk import visible
from alljax.data.synthetic.folder import is_synthetic
from alljax.errors import UserError, nearest, some
from alljax.storage import cache, progress_bar

__all__ = ['DATASETS', 'DataOptions', 'Dataset', 'Listing', 'Record', 'load', 'located', 'problems', 'recognized']

log = logging.getLogger(__name__)

# Name → data set; one of your own joins by `DATASETS['mine'] = Dataset(list_cells, tasks={'detection': ('blast', …)})`.
DATASETS: dict[str, Dataset] = {
    'all_idb2': all_idb2.DATASET,
    'folder': folder.DATASET,
    'synthetic': synthetic.DATASET,
}


GROUPS = ('named', 'audit')  # where the groups come from


class DataOptions(NamedTuple):
    """The cells that a run is about, and how they are kept."""

    name: str  # one of DATASETS, or 'auto'
    root: str = ''  # the folder of the data set; unused by a set that draws its cells
    task: str = 'subtype'  # one of the data set's
    size: int = 257  # pixels a side at which cells are kept
    cells: int = 260  # how many to draw, for a set that draws them
    denoise: str = 'none'  # one of alljax.data.denoise.NAMES
    groups: str = 'named'  # one of GROUPS

    @property
    def synthetic(self) -> bool:
        """True for drawn cells, made here or named as a folder: a run on them is a demo."""
        options = located(self)
        dataset = DATASETS.get(options.name)
        return bool(dataset and dataset.draw) or (bool(options.root) and is_synthetic(Path(options.root)))


def located(options: DataOptions) -> DataOptions:
    """The options with the folder of $ALLJAX_DATA where none is named, and with what 'auto' means.

    That is the first data set that reads a folder, ALL-IDB2, if any folder was named, else the first that draws cells.
    A folder is absolute, with its ~ expanded, so that it is the same from any other folder.
    """
    root = options.root or os.environ.get('ALLJAX_DATA', '')
    root = str(Path(root).expanduser().absolute()) if root else ''
    if options.name != 'auto':
        return options._replace(root=root)
    name = next(name for name, dataset in DATASETS.items() if bool(root) != bool(dataset.draw))
    return options._replace(name=name, root=root)


def problems(options: DataOptions) -> list[str]:
    """Sentences about what no run could use: in the name, the task and the folder's name. No file is read."""
    names, tasks = ('auto', *DATASETS), dict.fromkeys(task for dataset in DATASETS.values() for task in dataset.tasks)
    found = []
    for field, value, known in (('name', options.name, names), ('task', options.task, tuple(tasks))):
        if value not in known:
            own = '; if it is your own, run its file first, as --config does' if field == 'name' else ''
            found.append(
                f'config.data.{field} is {value!r}{nearest(str(value), known)}; '
                f'it may be {some([*map(repr, known)], 20)}{own}'
            )
    if found:
        return found
    name, root, task, *_ = located(options)
    dataset = DATASETS[name]
    if task not in dataset.tasks:
        others = ' or '.join(f'--config.data.name={other}' for other, its in DATASETS.items() if task in its.tasks)
        found.append(
            f'config.data.task={task} does not go with config.data.name={name}, whose tasks are '
            f'{", ".join(dataset.tasks)}; set one of these, or {others}'
        )
    if not root and not dataset.draw:
        found.append(
            f'config.data.root is empty and $ALLJAX_DATA is not set; name the folder of the cells ({name}) with '
            '--config.data.root=DIR'
        )
    return found


def recognized(root: Path) -> tuple[str, str]:
    """The name of the data set whose folder this is, and the task for it; UserError if it is none of DATASETS."""
    root = existing_folder(root)
    for name, dataset in DATASETS.items():
        if task := dataset.recognize(root):
            return name, task
    found = some([path.name for path in visible(root)], 4) or 'nothing'
    raise UserError(f'{root}: holds {found}, expected ALL_IDB2/img/ or one folder of images for each class')


def load(options: DataOptions, seed: int) -> Cells:
    """The cells of a data set; UserError with every problem of the options, or else of the folder.

    The classes, the groups and all that is left out are logged before anything is read.
    """
    if found := problems(options):
        raise UserError(*found)
    options = located(options)
    dataset = DATASETS[options.name]
    root = dataset.draw(options.cells, seed) if dataset.draw else Path(options.root)
    audited, place = options.groups == 'audit', cache.folder('cells')
    builder = CellsBuilder(options.name, dataset, root=root, task=options.task, data_dir=place, audited=audited)
    log.info(builder.listing.taken())  # before anything is built, so that wrong classes are seen in time
    for note in builder.listing.notes:
        if not (audited and note == folder.ALONE):
            log.warning(note)
    with progress_bar.shown('reading the cells'):
        cells = read_cells(builder, options.size)
    for note in cells.origin.notes:
        if note not in builder.listing.notes:  # what was converted is known only now
            log.warning(note)
    if audited:
        from alljax.data import audited_groups  # which lists folders by this module

        cells = audited_groups.applied(cells, builder.listing)
    return replace(cells, images=denoise.filtered(cells.images, options.denoise))
