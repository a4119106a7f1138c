"""Draws of folds that share no group, and the choice of one in which every class is spread as evenly as can be."""

import warnings
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from jaxtyping import Int32, Integer

from alljax.data.cells import Cells
from alljax.errors import UserError

Index = Integer[np.ndarray, ' _']  # of any length
DRAWS = 10  # shuffles of the groups, of which the one closest to the asked fraction in every class is taken


def draws(cells: Cells, among: Index, folds: int, seed: int, order: str) -> Iterator[list[Index]]:
    """DRAWS partitions of `among` (places in it) into folds that share no group."""
    labels, groups = cells.labels[among], cells.groups[among]
    most = int(np.bincount(labels).max())
    if most < folds:
        raise UserError(
            f'the cells are to be split in {folds} parts, but no class has more than {most} of them; lower '
            'config.split.folds, or add cells'
        )
    for draw in range(DRAWS):
        yield list(_drawn(labels.tobytes(), groups.tobytes(), folds, seed, draw, order))


@lru_cache(maxsize=10 * DRAWS)  # each fold of a cross-validation asks for all of them again
def _drawn(labels: bytes, groups: bytes, folds: int, seed: int, draw: int, order: str) -> tuple[Index, ...]:
    of_cells, of_groups = np.frombuffer(labels, np.int32), np.frombuffer(groups, np.int32)
    if order == 'shuffled':
        dealt = _dealt(of_cells, of_groups, folds, np.random.default_rng([seed, draw]))
        parts = [np.flatnonzero(dealt == fold) for fold in range(folds)]
    else:
        from sklearn.model_selection import StratifiedGroupKFold  # takes seconds

        kfold = StratifiedGroupKFold(folds, shuffle=True, random_state=(seed * DRAWS + draw) % 2**32)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # of classes with fewer cells than folds: judged by `closest`
            parts = [second for _, second in kfold.split(of_cells, of_cells, of_groups)]
    for part in parts:
        part.flags.writeable = False  # all who ask share them
    return tuple(parts)


def _dealt(
    labels: Int32[np.ndarray, ' cells'], groups: Int32[np.ndarray, ' cells'], folds: int, rng: np.random.Generator
) -> Integer[np.ndarray, ' cells']:
    """The fold of each cell: groups in any order, each to the fold that leaves the classes most evenly spread."""
    names, place = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), int(labels.max()) + 1))
    np.add.at(counts, (place, labels), 1)
    shares = counts[:, counts.any(0)] / counts.sum(0)[counts.any(0)]
    fold_of, filled = np.zeros(len(names), int), np.zeros((folds, shares.shape[1]))
    for group in rng.permutation(len(names)):
        after = filled[None] + np.eye(folds)[:, :, None] * shares[group]  # if the group went to each of the folds
        uneven = after.std(1).mean(1)
        best = np.flatnonzero(np.isclose(uneven, uneven.min()))
        fold_of[group] = fold = best[filled[best].sum(1).argmin()]
        filled[fold] += shares[group]
    return fold_of[place]


def closest(
    cells: Cells, among: Index, fraction: float, draws: Iterator[list[Index]], *, everywhere: bool
) -> list[Index]:
    """The draw whose worst class in its worst part is closest to the fraction.

    UserError if each has a part that leaves no cell of some class outside or, with `everywhere`, takes none of it.
    """
    labels = cells.labels[among]
    best, least = None, np.inf
    for parts in draws:
        chosen = (np.isin(np.arange(len(among)), part) for part in parts)
        error = max(_distance(labels, part, fraction, len(cells.classes), everywhere) for part in chosen)
        if error < least:
            best, least = parts, error
    if best is None:
        raise UserError(_too_few_groups(cells, among))
    return best


def _distance(
    labels: Int32[np.ndarray, ' cells'], chosen: np.ndarray, fraction: float, classes: int, everywhere: bool
) -> float:
    """The distance of the worst class from the fraction; infinite if a class is missing where it must not."""
    shares = [chosen[labels == label].mean() for label in range(classes)]
    return max(abs(share - fraction) if share < 1 and (share or not everywhere) else np.inf for share in shares)


def _too_few_groups(cells: Cells, among: Index) -> str:
    counts = {
        name: len(set(cells.groups[among][cells.labels[among] == label])) for label, name in enumerate(cells.classes)
    }
    few = ', '.join(f'{name} in {count}' for name, count in sorted(counts.items(), key=lambda item: item[1])[:4])
    return (
        f'the groups cannot be split so that every class is on both sides (groups with a class: {few}); add groups '
        'for the rarest class, lower config.split.validation or config.split.folds, or use '
        '--config.split.protocol=random, which leaks'
    )
