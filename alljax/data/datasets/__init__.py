"""The data sets by name, and the cells of the one that a run is about."""

import logging
import os
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from alljax.data import all_idb, memory_limit
from alljax.data.cells import Cells
from alljax.data.datasets import (
    acevedo2020,
    all_aria2021,
    all_idb1,
    all_idb2,
    aml_munich,
    bccd,
    c_nmc_2019,
    chula_wbc,
    csv_table,
    folder,
    medmnist_blood,
    raabin,
    split_folders,
    synthetic,
)
from alljax.data.datasets.listing import ALONE, Dataset, Listing, Record, Source, existing_folder
from alljax.data.folder_walk import visible
from alljax.data.synthetic.folder import is_synthetic
from alljax.errors import UserError, nearest, some
from alljax.storage import cache

__all__ = [
    'AUTO', 'DATASETS', 'DataOptions', 'Dataset', 'Listing', 'Record', 'Source', 'candidates', 'known_as', 'load',
    'located', 'problems', 'recognized',
]  # fmt: skip

log = logging.getLogger(__name__)

# Name → data set; one of your own joins by `DATASETS['mine'] = Dataset(list_cells, tasks={'detection': ('blast', …)})`.
DATASETS: dict[str, Dataset] = {
    'all_idb2': all_idb2.DATASET,
    'all_idb1': all_idb1.DATASET,
    'c_nmc_2019': c_nmc_2019.DATASET,
    'all_aria2021': all_aria2021.DATASET,
    'acevedo2020': acevedo2020.DATASET,
    'aml_munich': aml_munich.DATASET,
    'raabin': raabin.DATASET,
    'medmnist_blood': medmnist_blood.DATASET,
    'chula_wbc': chula_wbc.DATASET,
    'bccd': bccd.DATASET,
    'split_folders': split_folders.DATASET,
    'csv': csv_table.DATASET,
    'folder': folder.DATASET,
    'synthetic': synthetic.DATASET,
}


GROUPS = ('named', 'audit')  # where the groups come from
AUTO = 'auto'  # a value of config.data.name and config.data.task: what the folder is known as


class DataOptions(NamedTuple):
    """The cells that a run is about, and how they are kept."""

    name: str  # one of DATASETS, or AUTO
    root: str = ''  # the folder of the data set; unused by a set that draws its cells
    task: str = 'subtype'  # one of the data set's, or AUTO
    size: int = 257  # pixels a side at which cells are kept
    cells: int = 260  # how many to draw, for a set that draws them
    denoise: str = 'none'  # one of alljax.data.denoise.NAMES
    groups: str = 'named'  # one of GROUPS
    device_cache_mb: float | int | None = None  # a larger set is read in batches; None for what fits this machine
    need_memory: tuple[str, ...] = ()  # options that cannot go with batches, as a message names them

    @property
    def synthetic(self) -> bool:
        """True for drawn cells, made here or named as a folder: a run on them is a demo."""
        options = located(self)
        dataset = DATASETS.get(options.name)
        return bool(dataset and dataset.draw) or (bool(options.root) and is_synthetic(Path(options.root)))


def located(options: DataOptions) -> DataOptions:
    """The options with the folder of $ALLJAX_DATA where none is named, and with what 'auto' means.

    That is the set that the folder is known as by its layout, the first that draws cells if no folder was named, and
    ALL-IDB2 for a folder that is known as none, whose problems say so. A folder is absolute, with its ~ expanded, so
    that it is the same from any other folder.
    """
    root = options.root or os.environ.get('ALLJAX_DATA', '')
    root = str(Path(root).expanduser().absolute()) if root else ''
    name, task = options.name, options.task
    if name == AUTO or (task == AUTO and root):
        known = candidates(Path(root)) if root else []
        if name == AUTO:
            of_none = next(name for name, dataset in DATASETS.items() if bool(root) != bool(dataset.draw))
            name = next(iter(known), (of_none, ''))[0]
        task = dict(known).get(name, task) if task == AUTO else task
    if task == AUTO and name in DATASETS:
        task = next(iter(DATASETS[name].tasks))
    return options._replace(name=name, root=root, task=task)


def problems(options: DataOptions) -> list[str]:
    """Sentences about what no run could use: in the name, the task and the folder's name. No picture is read."""
    names, tasks = (AUTO, *DATASETS), dict.fromkeys(task for dataset in DATASETS.values() for task in dataset.tasks)
    found = []
    for field, value, known in (('name', options.name, names), ('task', options.task, (*tasks, AUTO))):
        if value not in known:
            own = '; if it is your own, run its file first, as --config does' if field == 'name' else ''
            found.append(
                f'config.data.{field} is {value!r}{nearest(str(value), known)}; '
                f'it may be {some([*map(repr, known)], 20)}{own}'
            )
    if found:
        return found
    name, root, task, *_ = located(options)
    if options.name == AUTO and root and (found := _unclear(Path(root), 'say which it is with --config.data.name')):
        return found
    dataset = DATASETS[name]
    if task not in dataset.tasks:
        found.append(_other_task(options.name, name, task))
    if not root and not dataset.draw:
        found.append(
            f'config.data.root is empty and $ALLJAX_DATA is not set; name the folder of the cells ({name}) with '
            '--config.data.root=DIR'
        )
    return found


def _other_task(asked: str, name: str, task: str) -> str:
    """The sentence on a task that a data set has not: for folders of any classes those that name them, else all."""
    having = [other for other, its in DATASETS.items() if task in its.tasks]
    having = [other for other in having if not DATASETS[other].tasks[task]] or having
    known = ', as which the folder is known by its layout (config.data.name=auto)' if asked == AUTO != name else ''
    others = ' or '.join(f'--config.data.name={other}' for other in having)
    return (
        f'config.data.task={task} does not go with config.data.name={name}{known}, whose tasks are '
        f'{", ".join(DATASETS[name].tasks)}; set one of these, or {others}'
    )


def candidates(root: Path) -> list[tuple[str, str]]:
    """The name and the task of each data set that a folder, or a file, is known as by its layout.

    Published sets, and those of the user, where it is known as one; else the first of those that read anybody's.
    """
    if not root.exists():
        return []
    asked = {name: dataset for name, dataset in DATASETS.items() if dataset.file_as_root or root.is_dir()}
    found = [
        (name, task) for name, dataset in asked.items() if not dataset.general and (task := dataset.recognize(root))
    ]
    if found:
        return found
    general = ((name, dataset.recognize(root)) for name, dataset in asked.items() if dataset.general)
    return list(islice((known for known in general if known[1]), 1))


def _unclear(root: Path, name_it: str = '') -> list[str]:
    """The sentence on a folder that is known as no data set, or as several; none where it is absent or clear.

    `name_it` is how a set can be named, where it can.
    """
    known = candidates(root)
    if not root.exists() or len(known) == 1:
        return []
    if known:
        told = ' and '.join(f'{name} ({DATASETS[name].layout})' for name, _ in known)
        return [f'{root}: may be {told}; {name_it or "name the folder of one of them"}']
    found = some([path.name for path in visible(root)], 4) if root.is_dir() else 'a file'
    sets = '; '.join(f'{name}: {dataset.layout}' for name, dataset in DATASETS.items() if dataset.layout)
    return [
        f'{root}: holds {found or "nothing"}, expected ALL_IDB2/img/ or one folder of images for each class, or one of '
        f'these sets ({sets}); correct --config.data.root{name_it and ", or "}{name_it}'
    ]


def recognized(root: Path) -> tuple[str, str]:
    """The name of the data set whose folder this is, and the task for it; UserError if it is none of DATASETS.

    UserError, too, for a folder that may be several.
    """
    root = existing_folder(root, file_too=True)
    if found := _unclear(root):
        raise UserError(*found)
    return candidates(root)[0]


def known_as(options: DataOptions) -> str:
    """The sentence on what config.data.name=auto means for a folder, `options` being located."""
    source = DATASETS[options.name].source
    public = f' ({source.name})' if source else ''
    return f'{options.root}: is known by its layout as {options.name}{public}, task {options.task} (data.name=auto)'


def load(options: DataOptions, seed: int) -> Cells:
    """The cells of a data set; UserError with every problem of the options, or else of the folder.

    The classes, the groups and all that is left out are logged before anything is read. The pictures of a set above
    `device_cache_mb` stay on the disk.
    """
    if found := problems(options):
        raise UserError(*found)
    asked, options = options, located(options)
    dataset = DATASETS[options.name]
    if asked.name == AUTO and not dataset.draw:
        log.info(known_as(options))
    root = dataset.draw(options.cells, seed) if dataset.draw else Path(options.root)
    audited, place = options.groups == 'audit', cache.folder('cells')
    from alljax.data.datasets.builder import CellsBuilder  # brings TensorFlow Datasets
    from alljax.data.datasets.reading import read_cells

    builder = CellsBuilder(options.name, dataset, root=root, task=options.task, data_dir=place, audited=audited)
    log.info(builder.listing.taken())  # before anything is built, so that wrong classes are seen in time
    for note in builder.listing.notes:
        if not (audited and ALONE in note):
            log.warning(note)
    count, size, limit = len(builder.listing.records), options.size, options.device_cache_mb
    memory_limit.refuse(root, count, size, limit, options.need_memory)
    stream = memory_limit.streams(count, size, limit)
    if stream:
        log.info('%s: its %d cells of %d pixels (%.0f MB) are more than config.data.device_cache_mb: they are read in '
                 'batches', root, count, size, memory_limit.cells_mb(count, size))  # fmt: skip
    cells = read_cells(builder, size, options.denoise, stream=stream)
    all_idb.refuse_mixed(cells)
    for note in cells.origin.notes:
        if note not in builder.listing.notes:  # what was converted is known only now
            log.warning(note)
    if audited:
        from alljax.data import audited_groups  # which lists folders by this module

        cells = audited_groups.applied(cells, builder.listing)
    return cells
