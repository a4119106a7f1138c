"""Repeated cells, and other ways to be right without looking, in a folder: python -m alljax.data.audit FOLDER."""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from alljax.data import groups
from alljax.data.audit import exact_repeats, not_same_table, repeat_kinds
from alljax.data.audit.candidates import Candidates, candidates
from alljax.data.audit.folder_listing import FolderListing, list_folder
from alljax.data.audit.measurements import Measurements, SmallImages, measure_files, small_images
from alljax.data.audit.registration import Look, Match, register
from alljax.data.audit.shortcuts import Shortcut, shortcuts
from alljax.storage import progress_bar

__all__ = ['THRESHOLD', 'Audit', 'Pair', 'Shortcut', 'audit', 'pairs_between']

THRESHOLD = 0.6  # least score of a pair; tests/benchmarks/audit.py measures what it finds
ROUND = 4096  # pairs laid on each other before those are left out whose cells were found to be the same already
LOOKS = 512  # cells whose small images are kept, 60 kB each, for their next pairs

Track = Callable[..., Any]  # progress_bar.shown, partly told


class Pair(NamedTuple):
    """Two pictures of one cell, or of neighbors in one field."""

    first: int  # index into the audit's files, before `second`
    second: int
    kind: str  # 'same file', 'same pixels', or as repeat_kinds.describe says
    score: float  # 1 for the same
    one_cell: bool = True  # False for crops that overlap, but have different cells in their middle


class Audit(NamedTuple):
    """Repeats and shortcuts that were found in a folder."""

    listing: FolderListing
    pairs: tuple[Pair, ...]  # in a set of many repeats not every pair, but enough to connect them all
    groups: tuple[str, ...]  # of each file: no split may separate them
    repeats: tuple[str, ...]  # of each file: the first of the same cell, '' if there is no other
    shortcuts: tuple[Shortcut, ...]
    threshold: float
    uncompared: tuple[tuple[int, int], ...] = ()  # likely pairs not laid on each other: others had connected them

    @property
    def conflicts(self) -> dict[str, list[int]]:
        """Cells by repeat, where pictures of one cell bear different labels."""
        sets: dict[str, list[int]] = {}
        for cell, repeat in enumerate(self.repeats):
            if repeat:
                sets.setdefault(repeat, []).append(cell)
        return {name: cells for name, cells in sets.items() if len({self.listing.labels[cell] for cell in cells}) > 1}


def audit(root: Path, threshold: float = THRESHOLD, progress: bool = False, not_same: Path | None = None) -> Audit:
    """Find repeated cells and shortcuts in a folder, in which nothing is written. `progress` shows bars on a terminal.

    The pairs of the table `not_same` are left out, so that likely pairs which they would have connected are compared.
    UserError for a folder without cells and, all together, for files that cannot be read.
    """
    if not progress:
        with progress_bar.heard_by(lambda _: None):
            return audit(root, threshold, True, not_same)
    found = list_folder(root)
    marks = not_same_table.read(not_same, found.files) if not_same else not_same_table.Marks()
    reading = partial(progress_bar.each, name='reading', total=len(found.files), unit=' cells')
    measured = measure_files(found.home, found.files, reading)
    if not_same:
        found = found._replace(notes=(*found.notes, *not_same_table.notes(not_same, marks, found)))
        marks = not_same_table.of_pictures(not_same, marks, found.files, measured.pixel_digests)
    comparing = partial(progress_bar.shown, 'comparing', unit=' pairs')
    pairs, uncompared = _all_pairs(measured, threshold, comparing, marks)
    merged = groups.merged(found.groups, [(pair.first, pair.second) for pair in pairs], found.unnamed_groups)
    return Audit(
        found,
        tuple(pairs),
        tuple(merged),
        tuple(groups.repeats(found.files, [(pair.first, pair.second) for pair in pairs if pair.one_cell])),
        shortcuts(measured, found.labels, merged),
        threshold,
        tuple(uncompared),
    )


def pairs_within(files: Sequence[Path], threshold: float = THRESHOLD) -> list[Pair]:
    """The pairs of an audit of these files, by their places; UserError with every file that cannot be read."""
    name = 'looking for repeats'
    reading = partial(progress_bar.each, name=f'{name}: reading', total=len(files), unit=' pictures')
    measured = measure_files(Path(), [str(path) for path in files], reading)
    comparing = partial(progress_bar.shown, f'{name}: comparing', unit=' pairs')
    pairs, _ = _all_pairs(measured, threshold, comparing, not_same_table.Marks())
    return pairs


def pairs_between(first: Sequence[Path], second: Sequence[Path], threshold: float = THRESHOLD) -> list[Pair]:
    """Every pair of a picture of the first files and one of the second that show one cell, or neighbors in one field.

    `Pair.first` is an index into the first files, `Pair.second` into the second. UserError with every file that cannot
    be read.
    """
    measured = measure_files(Path(), [str(path) for path in (*first, *second)])
    count = len(first)
    files, pixels = _places(measured.file_digests, count), _places(measured.pixel_digests, count)
    found: dict[tuple[int, int], Pair] = {}
    for other in range(count, len(measured.sizes)):
        same = dict.fromkeys(pixels.get(measured.pixel_digests[other], ()), 'same pixels')
        same |= dict.fromkeys(files.get(measured.file_digests[other], ()), 'same file')
        found |= {(cell, other): Pair(cell, other, kind, 1.0) for cell, kind in same.items()}
    chosen = candidates(measured.unrolled, np.arange(len(measured.sizes)))
    across = [cell < count <= other and (cell, other) not in found for cell, other in chosen.pairs.tolist()]
    chosen, look = _part(chosen, np.array(across, bool)), _look(measured)
    for (cell, other), match in zip(chosen.pairs.tolist(), register(look, chosen), strict=True):
        if match.score >= threshold:
            found[cell, other] = _pair(look, cell, other, match)
    return [pair._replace(second=pair.second - count) for _, pair in sorted(found.items())]


def _places(digests: Sequence[str], count: int) -> dict[str, list[int]]:
    """The places of each digest among the first `count`."""
    places: dict[str, list[int]] = {}
    for place, digest in enumerate(digests[:count]):
        places.setdefault(digest, []).append(place)
    return places


def _all_pairs(
    measured: Measurements, threshold: float, track: Track, marks: not_same_table.Marks
) -> tuple[list[Pair], list[tuple[int, int]]]:
    """The pairs among measured files but for the marked ones, equal files first; and those that were not compared.

    In a set of many repeats the pairs are enough to connect them all.
    """
    same = [Pair(*pair, 1.0) for pair in exact_repeats.pairs(measured.file_digests, measured.pixel_digests)]
    copies = {pair.second for pair in same}
    unique = [cell for cell in range(len(measured.sizes)) if cell not in copies]
    with progress_bar.shown('looking for repeats: cells that are alike'):
        chosen = candidates(measured.unrolled, np.array(unique))
    chosen = _part(chosen, ~not_same_table.among(marks, chosen.pairs))
    near, uncompared = _near_repeats(measured, chosen, threshold, track)
    return sorted(same + near), uncompared


def _near_repeats(
    measured: Measurements, chosen: Candidates, threshold: float, track: Track
) -> tuple[list[Pair], list[tuple[int, int]]]:
    """Pairs of unequal files that score at least the threshold, likeliest candidates first; and those not compared."""
    found: list[Pair] = []
    uncompared: list[tuple[int, int]] = []
    look, joined = _look(measured), groups.Joined(len(measured.sizes))
    with track(total=len(chosen.pairs)) as bar:
        for start in range(0, len(chosen.pairs), ROUND):
            part = Candidates(*(column[start : start + ROUND] for column in chosen))
            apart = np.array([joined.first(a) != joined.first(b) for a, b in part.pairs.tolist()], bool)
            uncompared += [(first, second) for first, second in part.pairs[~apart].tolist()]
            bar.update(int((~apart).sum()))
            part = _part(part, apart)
            for (first, second), match in zip(part.pairs.tolist(), register(look, part), strict=True):
                bar.update(1)
                if match.score >= threshold:
                    found.append(_pair(look, first, second, match))
                    joined.join(first, second)
    return found, uncompared


def _part(chosen: Candidates, taken: Bool[np.ndarray, ' pairs']) -> Candidates:
    return Candidates(*(column[taken] for column in chosen))


def _look(measured: Measurements) -> Look:
    """The small images of a cell, by its place, read again from its file: of a large set few are ever asked for."""

    @lru_cache(maxsize=LOOKS)
    def look(cell: int) -> SmallImages:
        return small_images(measured.home, measured.files[cell])

    return look


def _pair(look: Look, first: int, second: int, match: Match) -> Pair:
    """The pair of two pictures that were laid on each other."""
    one, other = look(first), look(second)
    kind = repeat_kinds.describe(
        match.pose, (one.density, other.density), (one.shape, other.shape), (one.sharpness, other.sharpness)
    )
    return Pair(first, second, kind, match.score, repeat_kinds.one_cell(match.pose))
