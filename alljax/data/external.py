"""The cells of a second set, such as another laboratory's, on which a run is tested, in the run's classes."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer

from alljax.data import datasets
from alljax.data.cells import Cells
from alljax.data.datasets import DATASETS, DataOptions, layout, tables
from alljax.data.datasets.listing import existing_folder
from alljax.errors import UserError, nearest, some

log = logging.getLogger(__name__)

FLAG = '--config.test.root'
MARK = 'external:'  # before the names of files and groups of the second set that join the training side

Index = Integer[np.ndarray, ' _']


class ExternalOptions(NamedTuple):
    """The second set of a run, and how many of its cells train."""

    root: str = ''  # '' for none
    name: str = 'folder'  # one of DATASETS
    labels: str = ''  # a CSV file of theirs,ours; '' for classes of the same name
    adapt_cells: int = 0  # of each class, that join the training side
    adapt_groups: int = 0  # in all, that join the training side

    @property
    def adapts(self) -> bool:
        """True if cells of the second set train."""
        return bool(self.root) and self.adapt_cells + self.adapt_groups > 0


class ExternalCells(NamedTuple):
    """A second set in the classes of the first."""

    cells: Cells  # those that have one of the classes
    labels: Mapping[str, str]  # class of the second set → class of the first
    left_out: Mapping[str, int]  # class that the first does not have → its cells


def problems(options: ExternalOptions) -> list[str]:
    """Sentences about fields that no run could use; no file is read."""
    known = [name for name, dataset in DATASETS.items() if not dataset.draw]
    found = []
    if options.name not in known:
        found.append(
            f'config.test.name is {options.name!r}{nearest(options.name, known)}; it may be {some([*map(repr, known)])}'
        )
    needing = {'labels': options.labels, 'adapt_cells': options.adapt_cells, 'adapt_groups': options.adapt_groups}
    if not options.root and (without := [f'config.test.{name}' for name, value in needing.items() if value]):
        found.append(f'{some(without)} without config.test.root; name the folder of the second set there')
    if options.adapt_cells and options.adapt_groups:
        found.append('config.test.adapt_cells and config.test.adapt_groups exclude each other; set one of them to 0')
    return found


def load(
    options: ExternalOptions,
    classes: tuple[str, ...],
    size: int,
    denoise: str = 'none',
    flag: str = FLAG,
    *,
    device_cache_mb: float | int | None = None,
    need_memory: tuple[str, ...] = (),
) -> ExternalCells:
    """The second set with its labels in `classes`, at `size` pixels a side and filtered as the first.

    A class that is none of `classes` is left out and told in the log. UserError with every problem of the folder and
    of the table of labels, and if no class is common; messages name the folder by `flag`.
    """
    root = existing_folder(Path(options.root).expanduser(), flag)
    table = read_labels(Path(options.labels).expanduser(), classes) if options.labels else {}
    data = DataOptions(
        options.name,
        str(root),
        _task(options.name, classes, table),
        size,
        denoise=denoise,
        device_cache_mb=device_cache_mb,
        need_memory=need_memory,
    )
    try:
        cells = datasets.load(data, 0)
    except UserError as error:
        raise UserError(*(said.replace('--config.data.root', flag) for said in error.problems)) from None
    known = mapped(cells.classes, classes, table, root)
    number = np.array([classes.index(known[name]) if name in known else -1 for name in cells.classes], np.int32)
    labels = number[cells.labels]
    left_out = Counter(cells.classes[label] for label in cells.labels[labels < 0])
    if left_out:
        counts = [f'{name} {count}' for name, count in left_out.items()]
        log.warning('%s: %d cells are left out, as their classes (%s) are none of %s; a CSV of theirs,ours '
                    '(--config.test.labels or --labels) can name a class for them',
                    root, left_out.total(), some(counts), ', '.join(classes))  # fmt: skip
    kept = replace(cells.take(np.flatnonzero(labels >= 0)), classes=classes)
    return ExternalCells(replace(kept, labels=labels[labels >= 0]), known, dict(left_out))


def read_labels(path: Path, classes: Sequence[str]) -> dict[str, str]:
    """A table of theirs,ours: for each label of a second set a class of the first, '' for one to leave out.

    UserError for a file that is no such table, and for a class that the first does not have.
    """
    found: list[str] = []
    rows = tables.read(path, ('ours',), found, key='theirs')
    plain = {layout.plain(name): name for name in classes}
    for theirs, row in rows.items():
        ours = row['ours']
        if ours and layout.plain(ours) not in plain:
            found.append(
                f'{path}: {theirs} is said to be {ours!r}{nearest(ours, classes)}; the classes are {some([*classes])}'
            )
    by_name: dict[str, str] = {}
    for theirs in rows:
        if (first := by_name.setdefault(layout.plain(theirs), theirs)) != theirs:
            found.append(
                f'{path}: {first} and {theirs} are one label, for case, spaces and hyphens do not count; keep one'
            )
    if not rows and not found:
        found.append(f'{path}: has no line below its header; expected theirs,ours for each label of the second set')
    if found:
        raise UserError(*found)
    return {theirs: plain.get(layout.plain(row['ours']), '') for theirs, row in rows.items()}


def mapped(theirs: Sequence[str], ours: Sequence[str], table: Mapping[str, str], root: Path) -> dict[str, str]:
    """The class of `ours` for each of `theirs` that has one: by the table, else by the name.

    Names are compared without case, spaces, hyphens and the encoding of accents. UserError for a line of the table
    that names no label of the second set, and if there is no class in common.
    """
    by_name = {layout.plain(name): name for name in ours}
    said = {layout.plain(name): own for name, own in table.items()}
    unknown = [name for name in table if layout.plain(name) not in {*map(layout.plain, theirs)}]
    if unknown:
        raise UserError(
            f'{root}: has no cells labelled {some(unknown)}, which the table of labels names'
            f'{nearest(unknown[0], theirs)}; its labels are {some([*theirs])}'
        )
    every = {name: said.get(layout.plain(name), by_name.get(layout.plain(name), '')) for name in theirs}
    found = {name: own for name, own in every.items() if own}
    if not found:
        raise UserError(
            f'{root}: its classes ({some([*theirs])}) have none in common with the training set ({some([*ours])}); '
            'name the class of each in a CSV of theirs,ours, with --config.test.labels=FILE or --labels=FILE'
        )
    return found


def adaptation(cells: Cells, options: ExternalOptions, draw: int) -> tuple[Index, Index]:
    """The cells of a second set that join the training side, and those that are tested; none of one group on both.

    A larger number takes those of a smaller one and more, for the same `draw`. Cells that do not train, but whose group
    does, are in neither. UserError if nothing is left to test.
    """
    everything = np.arange(len(cells))
    if not options.adapts:
        return everything[:0], everything
    rng = np.random.default_rng([draw, 11])
    place = rng.permutation(len(cells.group_names))  # of each group in the order of the draw
    order = np.lexsort((rng.permutation(len(cells)), place[cells.groups]))  # cells, group by group
    if options.adapt_groups:
        seen = sorted(set(cells.groups.tolist()), key=lambda group: place[group])
        joining = np.flatnonzero(np.isin(cells.groups, seen[: options.adapt_groups]))
    else:
        by_class = [order[cells.labels[order] == label][: options.adapt_cells] for label in range(len(cells.classes))]
        joining = np.sort(np.concatenate(by_class))
    rest = np.flatnonzero(~np.isin(cells.groups, cells.groups[joining]))
    if not len(rest):
        field = 'adapt_groups' if options.adapt_groups else 'adapt_cells'
        raise UserError(
            f'config.test.{field} leaves no cell of {cells.origin.root} to test ({len(cells)} cells, '
            f'{len(set(cells.groups.tolist()))} groups); lower it'
        )
    return joining, rest


def joined(cells: Cells, others: Cells) -> Cells:
    """The cells of a run and, after them, those of the second set that train, with MARK before their names.

    The fingerprint is of both.
    """
    digest = hashlib.sha256(repr((cells.origin.fingerprint, others.origin.fingerprint, others.names)).encode())
    sizes = None if cells.sizes is None or others.sizes is None else np.concatenate([cells.sizes, others.sizes])
    again = np.where(others.repeats < 0, -1, others.repeats + cells.repeats.max(initial=-1) + 1).astype(np.int32)
    return replace(
        cells,
        images=np.concatenate([cells.images, others.images]),
        labels=np.concatenate([cells.labels, others.labels]),
        groups=np.concatenate([cells.groups, others.groups + np.int32(len(cells.group_names))]),
        repeats=np.concatenate([cells.repeats, again]),
        names=(*cells.names, *(f'{MARK}{name}' for name in others.names)),
        group_names=(*cells.group_names, *(f'{MARK}{name}' for name in others.group_names)),
        origin=replace(cells.origin, fingerprint=digest.hexdigest()),
        sizes=sizes,
        sides=(),  # the cells are split by now
    )


def _task(name: str, classes: Sequence[str], table: Mapping[str, str]) -> str:
    """The task of a data set whose classes have most in common with the run's; the first where folders name them."""
    ours = {layout.plain(label) for label in (*classes, *table)}
    tasks = DATASETS[name].tasks
    return max(tasks, key=lambda task: sum(layout.plain(label) in ours for label in tasks[task]))
