"""Which cells train, which choose, which test; cells of one group are never separated."""

import warnings
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, Integer
from ml_collections import ConfigDict
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from alljax.data.cells import Cells
from alljax.errors import UserError

Index = Integer[np.ndarray, ' _']  # of any length
DRAWS = 10  # shuffles of the groups, of which the one closest to the asked fraction in every class is taken


class Split(NamedTuple):
    """Indices into the cells, each in rising order; together they are all cells."""

    train: Index
    validation: Index
    test: Index
    protocol: str

    @property
    def leaky(self) -> bool:
        """Whether cells of one group may stand on both sides."""
        return self.protocol != 'grouped'


def split(cells: Cells, config: ConfigDict, seed: int) -> Split:
    """The stratified hold-out of a config's `split` fields; the validation fold is cut from the training side."""
    cut = {'grouped': by_group, 'random': by_file}[config.protocol]
    rest, test = cut(cells, np.arange(len(cells)), config.test, seed)
    train, validation = rest, rest[:0]
    if config.validation:
        train, validation = cut(cells, rest, config.validation, seed)
    return Split(train, validation, test, config.protocol)


def by_file(cells: Cells, among: Index, fraction: float, seed: int) -> tuple[Index, Index]:
    """Two parts of `among`, the second with `fraction` of each class, whatever the groups: this leaks."""
    try:
        first, second = train_test_split(among, test_size=fraction, random_state=seed, stratify=cells.labels[among])
    except ValueError as error:
        raise UserError(
            f'{len(among)} cells cannot be split with {fraction:g} of each class on one side: {error}'
        ) from None
    return np.sort(first), np.sort(second)


def by_group(cells: Cells, among: Index, fraction: float, seed: int) -> tuple[Index, Index]:
    """Two parts of `among` that share no group, the second with about `fraction` of each class.

    The second part is a of the b folds of scikit-learn's StratifiedGroupKFold, a/b being the fraction. UserError if no
    draw leaves every class on both sides.
    """
    labels, groups = cells.labels[among], cells.groups[among]
    if len(set(groups)) == len(among):
        return by_file(cells, among, fraction, seed)  # nothing to keep together
    part = Fraction(fraction).limit_denominator(min(20, len(set(groups))))
    if part.denominator == 1:
        raise UserError(
            f'{len(set(groups))} groups are too few to put {fraction:g} of the cells apart; name more groups (slides, '
            'patients), or choose a larger fraction'
        )
    best, least = None, np.inf
    for draw in range(DRAWS):
        folds = StratifiedGroupKFold(part.denominator, shuffle=True, random_state=seed * DRAWS + draw)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # of classes with fewer cells than folds: judged below
            sides = [second for _, second in folds.split(labels, labels, groups)]
        chosen = np.zeros(len(among), bool)
        chosen[np.concatenate(sides[: part.numerator])] = True
        error = _distance(labels, chosen, fraction, len(cells.classes))
        if error < least:
            best, least = chosen, error
    if best is None:
        raise UserError(_too_few_groups(cells, among))
    return among[~best], among[best]


def equalize(labels: Int32[np.ndarray, ' cells'], index: Index, how: str, seed: int) -> Index:
    """Training indices with as many cells of each class as the smallest ('undersample') or largest ('oversample').

    Any other `how` leaves them. Oversampling takes every cell equally often, give or take one.
    """
    if how not in ('undersample', 'oversample'):
        return index
    rng = np.random.default_rng([seed, 1])
    classes = [rng.permutation(index[labels[index] == label]) for label in np.unique(labels[index])]
    sizes = [len(cells) for cells in classes]
    size = min(sizes) if how == 'undersample' else max(sizes)
    return np.sort(np.concatenate([np.resize(cells, size) for cells in classes]))


def class_weights(labels: Int32[np.ndarray, ' cells'], index: Index, how: str, classes: int) -> np.ndarray:
    """Weight of each class in the loss: inverse to its share for 'weights', else 1; their mean over cells is 1."""
    if how != 'weights':
        return np.ones(classes, np.float32)
    counts = np.bincount(labels[index], minlength=classes)
    return (len(index) / (classes * counts)).astype(np.float32)


def _distance(labels: Int32[np.ndarray, ' cells'], chosen: np.ndarray, fraction: float, classes: int) -> float:
    """How far the worst class is from the fraction; infinite if a class is missing from a side."""
    shares = [chosen[labels == label].mean() for label in range(classes)]
    return max(abs(share - fraction) if 0 < share < 1 else np.inf for share in shares)


def _too_few_groups(cells: Cells, among: Index) -> str:
    counts = {
        name: len(set(cells.groups[among][cells.labels[among] == label])) for label, name in enumerate(cells.classes)
    }
    few = ', '.join(f'{name} in {count}' for name, count in sorted(counts.items(), key=lambda item: item[1])[:4])
    return (
        f'the groups cannot be split so that every class is on both sides (groups with a class: {few}); add groups '
        'for the rarest class, lower config.split.validation, or use --config.split.protocol=random, which leaks'
    )
