"""Draws of folds that share no group, and the choice of one in which every class is spread as evenly as can be."""

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int32, Integer

from alljax.data.cells import Cells
from alljax.errors import UserError

Counts = Float[np.ndarray, 'groups classes']
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
    counts, place = _counts(np.frombuffer(labels, np.int32), np.frombuffer(groups, np.int32))
    if order == 'shuffled':
        fold_of = _dealt(counts, folds, np.random.default_rng([seed, draw]))
    else:
        fold_of = _dealt_evenly(counts, folds, np.random.RandomState((seed * DRAWS + draw) % 2**32))
    parts = tuple(np.flatnonzero(fold_of[place] == fold) for fold in range(folds))
    for part in parts:
        part.flags.writeable = False  # all who ask share them
    return parts


def _counts(
    labels: Int32[np.ndarray, ' cells'], groups: Int32[np.ndarray, ' cells']
) -> tuple[Counts, Integer[np.ndarray, ' cells']]:
    """The cells of each group in each class that has any, and the place of each cell's group among them."""
    classes, kind = np.unique(labels, return_inverse=True)
    names, place = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (place, kind), 1)
    return counts, place


def _dealt(counts: Counts, folds: int, rng: np.random.Generator) -> Integer[np.ndarray, ' groups']:
    """The fold of each group, in any order: each goes to the fold that leaves the classes most evenly spread."""
    shares = counts / counts.sum(0)
    fold_of, filled = np.zeros(len(counts), int), np.zeros((folds, counts.shape[1]))
    for group in rng.permutation(len(counts)):
        uneven = _unevenness(filled, shares[group])
        best = np.flatnonzero(np.isclose(uneven, uneven.min()))
        fold_of[group] = fold = best[filled[best].sum(1).argmin()]
        filled[fold] += shares[group]
    return fold_of


def _dealt_evenly(counts: Counts, folds: int, rng: np.random.RandomState) -> Integer[np.ndarray, ' groups']:
    """The fold of each group, the most uneven ones first, as StratifiedGroupKFold of scikit-learn 1.9 deals them.

    It is not asked itself, for each run would wait seconds until it is loaded.
    """
    shuffled = np.arange(len(counts))
    rng.shuffle(shuffled)
    fold_of, filled, cells = np.zeros(len(counts), int), np.zeros((folds, counts.shape[1])), counts.sum(0)
    for group in shuffled[np.argsort(-counts[shuffled].std(1), kind='stable')]:
        uneven, sizes = _unevenness(filled, counts[group], cells).tolist(), filled.sum(1).tolist()
        fold = 0
        for other in range(1, folds):
            alike = abs(uneven[other] - uneven[fold]) <= 1e-8 + 1e-5 * abs(uneven[fold])
            if uneven[other] < uneven[fold] or (alike and sizes[other] < sizes[fold]):
                fold = other
        fold_of[group] = fold
        filled[fold] += counts[group]
    return fold_of


def _unevenness(
    filled: Float[np.ndarray, 'folds classes'],
    group: Float[np.ndarray, ' classes'],
    cells: Float[np.ndarray, ' classes'] | float = 1.0,
) -> Float[np.ndarray, ' folds']:
    """The spread of the classes over the folds, each of so many `cells`, if the group went to each of them."""
    after = filled[None] + np.eye(len(filled))[:, :, None] * group
    unevenness: Float[np.ndarray, ' folds'] = (after / cells).std(1).mean(1)
    return unevenness


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
