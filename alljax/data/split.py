"""Training, validation and test sides of the cells; cells of one group are never separated."""

import math
from fractions import Fraction
from functools import partial
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int32, Integer

from alljax.data import group_folds
from alljax.data.cells import Cells
from alljax.data.groups import members_of_each
from alljax.data.thinning import thinned
from alljax.errors import UserError, some

Index = Integer[np.ndarray, ' _']  # of any length
SEED_STEP = 1_000_003  # between two repetitions: further apart than any two seeds that a user is likely to compare
LEAVE_ONE = 'leave_one_group_out'
GIVEN = 'given'  # the sides that come with the set
BY_GROUP = ('grouped', LEAVE_ONE)  # the protocols that separate no cells of one group


class SplitOptions(NamedTuple):
    """A way to divide cells: a hold-out, or one fold of a cross-validation."""

    protocol: Literal['grouped', 'random', 'paper', 'leave_one_group_out', 'given'] = 'grouped'
    test: float = 0.4  # fraction of the cells that is tested [paper]; unused with folds and given sides
    validation: float = 0.0  # fraction of the training side that chooses the best epoch
    folds: int = 1  # of a cross-validation; 1 for the hold-out [paper]; leave_one_group_out has its own
    fold: int = 0  # the one to test
    repeat: int = 0  # the repetition, each of which shuffles the cells anew
    train_groups: int = 0  # at most of each class on the training side; 0 for all
    train_cells: int = 0  # the same of cells
    draw: Literal['balanced', 'shuffled'] = 'balanced'  # of groups: the most uneven ones dealt first, or in any order
    all_cells: bool = False  # all train and none is tested


class Split(NamedTuple):
    """Indices into the cells, each in rising order; all but those that train_groups, train_cells or a set leave out."""

    train: Index
    validation: Index
    test: Index
    protocol: str
    crossed: bool = False  # cells of one group are known to stand on both of the given sides

    @property
    def leaky(self) -> bool:
        """True if cells of one group may stand on both sides."""
        return self.crossed or self.protocol not in (*BY_GROUP, GIVEN)


def split(cells: Cells, options: SplitOptions, seed: int) -> Split:
    """The stratified hold-out, one of the folds, or all cells for training, as the options ask for.

    The validation fold is cut from the training side. UserError if a repeat that an audit found is separated, but for
    the protocol 'paper', which is there to show what that does, and 'given', whose sides are as they are.
    """
    if options.protocol == GIVEN and not options.all_cells:
        return given(cells, options, seed)
    grouped = options.protocol in BY_GROUP
    draw = seed + SEED_STEP * options.repeat
    part = partial(by_group, order=options.draw) if grouped else by_file
    if options.all_cells:
        rest, test = np.arange(len(cells)), np.arange(0)
    elif options.protocol == LEAVE_ONE:
        rest, test = leave_one_group_out(cells, options.fold)
    elif options.folds > 1:
        folds = partial(by_group_folds, order=options.draw) if grouped else by_file_folds
        rest, test = folds(cells, options.folds, draw)[options.fold]
    else:
        rest, test = part(cells, np.arange(len(cells)), options.test, draw)
    train, validation = rest, rest[:0]
    if options.validation:
        train, validation = part(cells, rest, options.validation, draw)
    parts = Split(train, validation, test, options.protocol)
    if options.protocol != 'paper':
        keep_repeats_together(cells, parts)
    return parts._replace(train=thinned(cells, train, options.train_groups, options.train_cells, draw))


def given(cells: Cells, options: SplitOptions, seed: int) -> Split:
    """The sides that come with a set, whatever its groups; cells on none of them are left out.

    Without a validation side one is cut from the training side, in whole groups, if the options ask for it. UserError
    for a set that has no such sides, or has none to train or to test on.
    """
    train, validation, test = (
        np.array([place for place, said in enumerate(cells.sides) if said == side], int)
        for side in ('train', 'validation', 'test')
    )
    missing = [name for name, index in (('to train', train), ('to test', test)) if not len(index)]
    if missing:
        found = 'has no sides of its own' if not cells.sides else f'has no side {" and none ".join(missing)}'
        raise UserError(
            f'config.split.protocol is {GIVEN}, but {cells.origin.root} ({cells.origin.name}) {found}; set it to '
            'grouped'
        )
    seen, tested = (set(cells.groups[index].tolist()) for index in (np.concatenate([train, validation]), test))
    if options.validation and not len(validation):
        train, validation = by_group(cells, train, options.validation, seed, options.draw)
    train = thinned(cells, train, options.train_groups, options.train_cells, seed)
    return Split(train, validation, test, GIVEN, crossed=bool(seen & tested))


def keep_repeats_together(cells: Cells, parts: Split) -> None:
    """UserError that names the pictures of one cell which stand on two sides of a split."""
    side = np.full(len(cells), -1)
    for number, index in enumerate((parts.train, parts.validation, parts.test)):
        side[index] = number
    separated = [members for members in members_of_each(cells.repeats) if len(set(side[members])) > 1]
    if separated:
        pairs = [' = '.join(cells.names[i] for i in members) for members in separated]
        raise UserError(
            f'config.split.protocol={parts.protocol} puts pictures of one cell on both sides ({some(pairs, 4)}), as '
            'groups.csv says; use --config.split.protocol=grouped with one group for each repeat, or delete the copies '
            "('paper' separates them too, and is marked leaky)"
        )


def by_file(cells: Cells, among: Index, fraction: float, seed: int) -> tuple[Index, Index]:
    """Two parts of `among`, the second with `fraction` of each class, whatever the groups: this leaks.

    UserError for a class with a single cell, and for parts with fewer cells than there are classes.
    """
    from sklearn.model_selection import train_test_split  # takes seconds: imported where cells are split

    _need_cells(cells, among, fraction)
    first, second = train_test_split(among, test_size=fraction, random_state=seed, stratify=cells.labels[among])
    return np.sort(first), np.sort(second)


def by_group(cells: Cells, among: Index, fraction: float, seed: int, order: str = 'balanced') -> tuple[Index, Index]:
    """Two parts of `among` that share no group, the second with about `fraction` of each class.

    The second part is a of the b folds of `by_group_folds`, a/b being the fraction. UserError if no draw leaves every
    class on both sides.
    """
    groups = cells.groups[among]
    if len(set(groups)) == len(among):
        return by_file(cells, among, fraction, seed)  # nothing to keep together
    share = Fraction(fraction).limit_denominator(min(20, len(set(groups))))
    if share.denominator == 1:
        raise UserError(
            f'{len(set(groups))} groups are too few to put {fraction:g} of the cells apart; name more groups (slides, '
            'patients), or choose a larger fraction'
        )
    draws = group_folds.draws(cells, among, share.denominator, seed, order)
    tested = ([np.concatenate(sides[: share.numerator])] for sides in draws)
    chosen = group_folds.closest(cells, among, fraction, tested, everywhere=True)
    second = np.isin(np.arange(len(among)), chosen[0])
    return among[~second], among[second]


def by_file_folds(cells: Cells, folds: int, seed: int) -> list[tuple[Index, Index]]:
    """The two sides of each fold, stratified, whatever the groups: this leaks."""
    smallest = min(cells.counts().items(), key=lambda item: item[1])
    if smallest[1] < folds:
        raise UserError(
            f'config.split.folds is {folds}, but {smallest[0]} has {smallest[1]} '
            f'{"cell" if smallest[1] == 1 else "cells"}; lower it, add cells, or leave the class out'
        )
    from sklearn.model_selection import StratifiedKFold

    kfold = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return [(first, second) for first, second in kfold.split(cells.labels, cells.labels)]


def by_group_folds(cells: Cells, folds: int, seed: int, order: str = 'balanced') -> list[tuple[Index, Index]]:
    """The two sides of each fold; no group is in two folds, and every cell is in one.

    In the order 'balanced' they are those of scikit-learn's StratifiedGroupKFold, which deals groups out by how uneven
    they are: where no two are alike the seed changes little, and repetitions are nearly the same. 'shuffled' deals them
    out in any order, for folds that differ from repetition to repetition, and are a little less even.

    UserError if no draw leaves every class on the training side of every fold. A class may be missing from a test side,
    for the folds are scored together.
    """
    everything = np.arange(len(cells))
    groups = len(set(cells.groups))
    if groups == len(cells):
        return by_file_folds(cells, folds, seed)
    if groups < folds:
        raise UserError(f'config.split.folds is {folds}, but there are {groups} groups; lower it, or name more groups')
    draws = group_folds.draws(cells, everything, folds, seed, order)
    best = group_folds.closest(cells, everything, 1 / folds, draws, everywhere=False)
    return [(np.setdiff1d(everything, test), np.sort(test)) for test in best]


def number_of_groups(cells: Cells) -> int:
    """The number of folds of leave_one_group_out; UserError if it is not known who or what the groups are."""
    if cells.origin.grouping != 'patient or slide':
        raise UserError(
            f'config.split.protocol is {LEAVE_ONE}, but the patients or slides of these cells are not known (groups: '
            f'{cells.origin.grouping}); name them in groups.csv, or set it to grouped'
        )
    return len(np.unique(cells.groups))


def leave_one_group_out(cells: Cells, fold: int) -> tuple[Index, Index]:
    """All groups but one, and that one: the groups in the order of their numbers are the folds.

    UserError as of `number_of_groups`, for a fold that there is not, and for a class that only this group has.
    """
    count = number_of_groups(cells)
    if count < 2 or fold >= count:
        raise UserError(
            f'config.split.fold is {fold}, but there are {count} groups, from 0; leave one out of two or more'
        )
    test = cells.groups == np.unique(cells.groups)[fold]
    missing = sorted(set(cells.labels) - set(cells.labels[~test]))
    if missing:
        name = cells.group_names[cells.groups[test][0]]
        raise UserError(
            f'config.split.protocol is {LEAVE_ONE}, but only the group {name} has cells of '
            f'{some([cells.classes[label] for label in missing])}, so none would be trained; add groups with that '
            'class, or leave the class out'
        )
    return np.flatnonzero(~test), np.flatnonzero(test)


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


def balanced_chances(
    labels: Int32[np.ndarray, ' cells'], groups: Int32[np.ndarray, ' cells']
) -> Float[np.ndarray, ' cells']:
    """The chance of each cell in a draw that takes every class equally often, and within a class every group."""
    chances = np.zeros(len(labels))
    classes = np.unique(labels)
    for label in classes:
        members = labels == label
        names, place, counts = np.unique(groups[members], return_inverse=True, return_counts=True)
        chances[members] = 1 / (len(classes) * len(names) * counts[place])
    return chances


def _need_cells(cells: Cells, among: Index, fraction: float) -> None:
    """UserError if `among` is too small for two parts, one with `fraction` of it, that both hold every class."""
    counts = np.bincount(cells.labels[among], minlength=len(cells.classes))
    single = [name for name, count in zip(cells.classes, counts, strict=True) if count == 1]
    if single:
        raise UserError(
            f'{some(single)}: its one cell among the {len(among)} cannot be split, as a class needs two or more to be '
            f'on both sides; add cells, {"set config.split.validation=0, " * (len(among) < len(cells))}or leave the '
            'class out'
        )
    second, classes = math.ceil(fraction * len(among)), np.count_nonzero(counts)
    smaller = min(second, len(among) - second)
    if smaller < classes:
        raise UserError(
            f'{fraction:g} of {len(among)} cells cannot be split off: it leaves {smaller} on one side, fewer than the '
            f'{classes} classes; add cells, or set config.split.test and config.split.validation nearer to 0.5'
        )
