"""Groups that an audit of the pictures finds, for folders that name no slides."""

import hashlib
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from alljax.data import audit, groups
from alljax.data.cells import Cells
from alljax.data.datasets.listing import ALONE, Listing
from alljax.data.datasets.tables import normal
from alljax.errors import some
from alljax.storage import cache, cached_record, speed_record

log = logging.getLogger(__name__)

AUDIT = 'audit'  # its kind among the speeds of this machine
VERSION = 1  # raise it when the audit finds other pairs in the same pictures
UNKNOWN = (
    'patients and slides are unknown: only the repeats of one cell that an audit found are kept together, so cells of '
    'one patient may be on both sides; name them in {table} (group)'
)


class Repeated(NamedTuple):
    """Two cells, by their places, whose pictures show one cell, or neighbors in one field."""

    first: int
    second: int
    one_cell: bool


def applied(cells: Cells, listing: Listing) -> Cells:
    """The cells with the groups of an audit, where their folder names none, and with a note of what it found.

    Where slides are named their groups stay, and pairs across two of them are told. The audit is made once: its pairs
    are kept in the user's cache under the fingerprint of the cells, and nothing is written into their folder.
    """
    pairs = _pairs(cells, listing)
    if cells.origin.grouping != 'unknown':
        return _with_notes(cells, _across(cells, pairs))
    links = [(pair.first, pair.second) for pair in pairs]
    merged = groups.merged([cells.group_names[group] for group in cells.groups], links, listing.unnamed_groups)
    group_names = tuple(sorted(set(merged)))
    number = {name: place for place, name in enumerate(group_names)}
    named = groups.repeats(cells.names, [(pair.first, pair.second) for pair in pairs if pair.one_cell])
    repeat = {name: place for place, name in enumerate(sorted(set(named) - {''}))}
    count = f'{len(pairs)} repeated {"pair" if len(pairs) == 1 else "pairs"}'
    log.info('the audit found %s: the %d cells are in %d groups (by repeats only: patients and slides are unknown)',
             count, len(cells), len(group_names))  # fmt: skip
    origin = replace(
        cells.origin,
        grouping='repeats only',
        fingerprint=hashlib.sha256(repr((cells.origin.fingerprint, merged)).encode()).hexdigest(),
        notes=tuple(note for note in cells.origin.notes if ALONE not in note),
    )
    found = replace(
        cells,
        groups=np.array([number[name] for name in merged], np.int32),
        repeats=np.array([repeat.get(name, -1) for name in named], np.int32),
        group_names=group_names,
        origin=origin,
    )
    return _with_notes(found, [UNKNOWN.format(table=listing.group_table)])


def _across(cells: Cells, pairs: Sequence[Repeated]) -> list[str]:
    """A sentence on pictures of one cell that lie in two of the named groups."""
    apart = [pair for pair in pairs if cells.groups[pair.first] != cells.groups[pair.second]]
    if not apart:
        return []
    told = some([f'{cells.names[pair.first]} = {cells.names[pair.second]}' for pair in apart], 3)
    return [
        f'an audit found {len(apart)} {"pair" if len(apart) == 1 else "pairs"} of one cell or one field in two groups '
        f'({told}), which may then be on both sides; `alljax audit` shows them, and its groups.csv joins such groups'
    ]


def _with_notes(cells: Cells, notes: Sequence[str]) -> Cells:
    for note in notes:
        log.warning(note)
    return replace(cells, origin=replace(cells.origin, notes=(*cells.origin.notes, *notes)))


def _pairs(cells: Cells, listing: Listing) -> list[Repeated]:
    """The pairs among cells, from the cache if they were searched before."""
    about = repr((VERSION, audit.THRESHOLD, cells.origin.fingerprint))
    path = cache.folder('pairs') / f'audit-{hashlib.sha256(about.encode()).hexdigest()[:32]}.json'
    if known := cached_record.read(path):
        return [Repeated(*row) for row in known['pairs']]
    log.info('looking for repeats among the %d cells of %s, once', len(cells), listing.root)
    on_disk = {normal(record.file): listing.root / record.file for record in listing.records}
    began = time.monotonic()
    found = audit.pairs_within([on_disk[name] for name in cells.names])
    speed_record.add(AUDIT, {'picture': (time.monotonic() - began) / len(cells)})
    pairs = [Repeated(pair.first, pair.second, pair.one_cell) for pair in found]
    cached_record.write(path, {'pairs': pairs})
    return pairs
