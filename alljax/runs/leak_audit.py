"""Cells that stand on both sides of an external test: the audit's search for repeats, between two sets."""

import hashlib
import logging
from collections.abc import Sequence
from typing import NamedTuple

from alljax.data import audit, cell_files
from alljax.data.audit import Pair
from alljax.data.cells import Cells
from alljax.data.split import Index
from alljax.errors import UserError
from alljax.storage import cache, cached_record

log = logging.getLogger(__name__)

VERSION = 1  # raise it when the audit finds other pairs in the same pictures


class FilePair(NamedTuple):
    """A training picture and one of the second set that show one cell, or neighbors in one field."""

    file: str  # of the training side
    other_file: str  # of the second set
    kind: str  # 'same file', 'same pixels', 'rotated 37°, re-lit', …
    score: float  # 1 for the same
    one_cell: bool  # False for neighbors


class LeakAudit(NamedTuple):
    """The pairs between the training side and the second set."""

    pairs: tuple[FilePair, ...]
    unchecked: str = ''  # the reason why nothing could be searched; '' if it was

    @property
    def leaky(self) -> bool:
        """True if a tested picture, or its neighbor in one field, has trained."""
        return bool(self.pairs)


def between(sources: Cells, trained: Index, second: Cells, tested: Index) -> LeakAudit:
    """The pairs of a training cell and a tested one of the second set, the most alike first.

    All cells of both sets are compared once; the result is kept in the user's cache. Where the files of a set are gone
    it says so.
    """
    names, others = {sources.names[place] for place in trained}, {second.names[place] for place in tested}
    try:
        pairs = _all_pairs(sources, second)
    except UserError as error:
        return LeakAudit((), str(error))
    found = [pair for pair in pairs if pair.file in names and pair.other_file in others]
    return LeakAudit(tuple(sorted(found, key=lambda pair: (-pair.score, pair))))


def _all_pairs(sources: Cells, second: Cells) -> list[FilePair]:
    """The pairs between two whole sets, from the cache if they were searched before."""
    about = repr((VERSION, audit.THRESHOLD, sources.origin.fingerprint, second.origin.fingerprint, second.names))
    path = cache.folder('pairs') / f'{hashlib.sha256(about.encode()).hexdigest()[:32]}.json'
    if known := cached_record.read(path):
        return [FilePair(*row) for row in known['pairs']]
    log.info('looking for cells of %s among those of %s, once', second.origin.root, sources.origin.root)
    pairs = audit.pairs_between(cell_files.of_cells(sources), cell_files.of_cells(second))
    found = [_named(pair, sources.names, second.names) for pair in pairs]
    cached_record.write(path, {'pairs': found})
    return found


def _named(pair: Pair, names: Sequence[str], others: Sequence[str]) -> FilePair:
    return FilePair(names[pair.first], others[pair.second], pair.kind, round(pair.score, 4), pair.one_cell)


def first_pairs(found: LeakAudit, count: int = 4) -> list[str]:
    """The first pairs in words, for the log and the report."""
    return [f'{pair.file} = {pair.other_file} ({pair.kind})' for pair in found.pairs[:count]]
