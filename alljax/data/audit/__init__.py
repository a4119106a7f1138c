"""Repeated cells, and other ways to be right without looking, in a folder: python -m alljax.data.audit FOLDER."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from alljax.data import groups
from alljax.data.audit import exact_repeats, repeat_kinds
from alljax.data.audit.candidates import Candidates, candidates
from alljax.data.audit.folder_listing import FolderListing, list_folder
from alljax.data.audit.measurements import Measurements, measure_files
from alljax.data.audit.registration import Match, register
from alljax.data.audit.shortcuts import Shortcut, shortcuts
from alljax.storage import progress_bar

__all__ = ['THRESHOLD', 'Audit', 'Pair', 'Shortcut', 'audit', 'pairs_between']

THRESHOLD = 0.6  # least score of a pair; tests/benchmarks/audit.py measures what it finds
ROUND = 4096  # pairs laid on each other before those are left out whose cells were found to be the same already

Track = Callable[..., Any]  # tqdm, partly told


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

    @property
    def conflicts(self) -> dict[str, list[int]]:
        """Cells by repeat, where pictures of one cell bear different labels."""
        sets: dict[str, list[int]] = {}
        for cell, repeat in enumerate(self.repeats):
            if repeat:
                sets.setdefault(repeat, []).append(cell)
        return {name: cells for name, cells in sets.items() if len({self.listing.labels[cell] for cell in cells}) > 1}


def audit(root: Path, threshold: float = THRESHOLD, progress: bool = False) -> Audit:
    """Find repeated cells and shortcuts in a folder; nothing is written.

    UserError for a folder without cells and, all together, for files that cannot be read.
    """
    found = list_folder(root)
    track = partial(tqdm, disable=not progress, leave=False)
    reading = partial(track, desc='reading', total=len(found.files), unit=' cells')
    measured = measure_files(found.home, found.files, reading)
    pairs = _all_pairs(measured, threshold, partial(track, desc='comparing', unit=' pairs'))
    merged = groups.merged(found.groups, [(pair.first, pair.second) for pair in pairs], found.unnamed_groups)
    return Audit(
        found,
        tuple(pairs),
        tuple(merged),
        tuple(groups.repeats(found.files, [(pair.first, pair.second) for pair in pairs if pair.one_cell])),
        shortcuts(measured, found.labels, merged),
        threshold,
    )


def pairs_within(files: Sequence[Path], threshold: float = THRESHOLD) -> list[Pair]:
    """The pairs of an audit of these files, by their places; UserError with every file that cannot be read."""
    name = 'looking for repeats'
    reading = partial(progress_bar.each, name=f'{name}: reading', total=len(files), unit=' pictures')
    measured = measure_files(Path(), [str(path) for path in files], reading)
    return _all_pairs(measured, threshold, partial(progress_bar.shown, f'{name}: comparing', unit=' pairs'))


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
    chosen = candidates(measured.detail, measured.density)
    across = [cell < count <= other and (cell, other) not in found for cell, other in chosen.pairs.tolist()]
    chosen = Candidates(*(column[np.array(across, bool)] for column in chosen))
    for (cell, other), match in zip(chosen.pairs.tolist(), register(measured, chosen), strict=True):
        if match.score >= threshold:
            found[cell, other] = _pair(measured, cell, other, match)
    return [pair._replace(second=pair.second - count) for _, pair in sorted(found.items())]


def _places(digests: Sequence[str], count: int) -> dict[str, list[int]]:
    """The places of each digest among the first `count`."""
    places: dict[str, list[int]] = {}
    for place, digest in enumerate(digests[:count]):
        places.setdefault(digest, []).append(place)
    return places


def _all_pairs(measured: Measurements, threshold: float, track: Track) -> list[Pair]:
    """The pairs among measured files, equal files first; in a set of many repeats enough to connect them all."""
    same = [Pair(*pair, 1.0) for pair in exact_repeats.pairs(measured.file_digests, measured.pixel_digests)]
    copies = {pair.second for pair in same}
    unique = [cell for cell in range(len(measured.sizes)) if cell not in copies]
    with progress_bar.shown('looking for repeats: cells that are alike'):
        chosen = candidates(measured.detail[unique], measured.density[unique])
    chosen = chosen._replace(pairs=np.array(unique)[chosen.pairs])
    return sorted(same + _near_repeats(measured, chosen, threshold, track))


def _near_repeats(measured: Measurements, chosen: Candidates, threshold: float, track: Track) -> list[Pair]:
    """Pairs that are no equal files but score at least the threshold; likeliest candidates first."""
    found: list[Pair] = []
    whole = np.arange(len(measured.sizes))
    with track(total=len(chosen.pairs)) as bar:
        for start in range(0, len(chosen.pairs), ROUND):
            part = Candidates(*(column[start : start + ROUND] for column in chosen))
            apart = whole[part.pairs[:, 0]] != whole[part.pairs[:, 1]]
            bar.update(int((~apart).sum()))
            part = Candidates(*(column[apart] for column in part))
            for (first, second), match in zip(part.pairs.tolist(), register(measured, part), strict=True):
                bar.update(1)
                if match.score >= threshold:
                    found.append(_pair(measured, first, second, match))
            whole = groups.connected([(pair.first, pair.second) for pair in found], len(whole))
    return found


def _pair(measured: Measurements, first: int, second: int, match: Match) -> Pair:
    """The pair of two pictures that were laid on each other."""
    density = measured.density[first], measured.density[second]
    (height, width), (other_height, other_width) = measured.shapes[[first, second]].tolist()
    shapes = (height, width), (other_height, other_width)
    sharpness = float(measured.sharpness[first]), float(measured.sharpness[second])
    kind = repeat_kinds.describe(match.pose, density, shapes, sharpness)
    return Pair(first, second, kind, match.score, repeat_kinds.one_cell(match.pose))
