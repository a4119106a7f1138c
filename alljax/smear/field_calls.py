"""The call of a whole field, blast or normal, by the cells that a model calls blasts, against the field's label."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from alljax.evaluation import intervals

FOLDS = 5  # at most
ANY, SHARE = 'any blast', 'share of blasts'  # the rules


class CountedField(NamedTuple):
    """A field with its label and what was counted in it."""

    field: str
    group: str
    is_blast: bool  # by its label
    blasts: int
    cells: int  # that were counted

    @property
    def share(self) -> float:
        """The share of blasts among the counted cells; 0 without any cell, in which no blast was found."""
        return self.blasts / self.cells if self.cells else 0.0


class Calls(NamedTuple):
    """The calls of all fields by one rule."""

    rule: str
    called: Bool[np.ndarray, ' fields']  # blast
    thresholds: tuple[float, ...]  # of each fold; none for a rule that has nothing to choose


class Agreement(NamedTuple):
    """The share of calls that are what the labels say, with 95 % intervals; a share without fields is None."""

    rule: str
    fields: int
    accuracy: float
    interval: tuple[float, float]  # over groups; Wilson's where these give none
    sensitivity: tuple[float, float, float] | None  # share, low and high (Wilson's) of the fields with blasts
    specificity: tuple[float, float, float] | None  # and of those without
    thresholds: tuple[float, ...]


def by_any(fields: Sequence[CountedField]) -> Calls:
    """A field with any cell that is called a blast is called so."""
    return Calls(ANY, np.array([field.blasts > 0 for field in fields], bool), ())


def by_share(fields: Sequence[CountedField]) -> Calls | None:
    """A field from some share of blasts on is called so, by the share that is best on the other folds.

    Folds separate no group. None where fewer than two groups have fields of either label: nothing to choose it on.
    """
    blast, share = np.array([f.is_blast for f in fields], bool), np.array([f.share for f in fields], float)
    groups = np.unique([field.group for field in fields], return_inverse=True)[1]
    folds = min(FOLDS, *(len(set(groups[blast == label].tolist())) for label in (False, True)))
    if folds < 2:
        return None
    from sklearn.model_selection import StratifiedGroupKFold  # takes seconds

    called, thresholds = np.zeros(len(fields), bool), []
    for train, test in StratifiedGroupKFold(folds, shuffle=True, random_state=0).split(share, blast, groups):
        if not len(test):
            continue
        threshold = best_threshold(share[train], blast[train])
        called[test] = share[test] >= threshold
        thresholds.append(threshold)
    return Calls(SHARE, called, tuple(thresholds))


def best_threshold(share: Float[np.ndarray, ' fields'], blast: Bool[np.ndarray, ' fields']) -> float:
    """The share from which on fields are called blast with the best balanced accuracy, midway between two fields."""
    values = np.unique(share)
    places = np.array([values[0], *((values[1:] + values[:-1]) / 2), np.nextafter(values[-1], np.inf)])
    right = [_balanced(share >= place, blast) for place in places]
    return float(places[int(np.argmax(right))])


def agreement(calls: Calls, fields: Sequence[CountedField]) -> Agreement:
    """The calls against the labels."""
    blast = np.array([field.is_blast for field in fields], bool)
    right = calls.called == blast
    groups: Int[np.ndarray, ' fields'] = np.unique([field.group for field in fields], return_inverse=True)[1]
    bounds = intervals.of_groups(intervals.accuracy_bootstrap(right, groups))
    low, high = bounds or intervals.wilson(int(right.sum()), len(right))
    sensitivity, specificity = (_part(right[blast == label]) for label in (True, False))
    return Agreement(
        calls.rule, len(fields), float(right.mean()), (low, high), sensitivity, specificity, calls.thresholds
    )


def agreements(fields: Sequence[CountedField]) -> list[Agreement]:
    """The agreement by each rule that the fields allow; none without fields."""
    rules: tuple[Callable[[Sequence[CountedField]], Calls | None], ...] = (by_any, by_share)
    found = [rule(fields) for rule in rules] if fields else []
    return [agreement(calls, fields) for calls in found if calls]


def table(found: Sequence[Agreement]) -> list[tuple[str, ...]]:
    """The rule, the fields, and the shares called as labeled: of all, of those with blasts, of normal ones."""
    return [
        (one.rule, f'{one.fields:,}', *map(_words, ((one.accuracy, *one.interval), one.sensitivity, one.specificity)))
        for one in found
    ]


def notes(found: Sequence[Agreement]) -> list[str]:
    """Sentences about the threshold on the share of blasts."""
    said = [_threshold(one) for one in found if one.thresholds]
    none = 'no threshold on the share of blasts was chosen: that takes two groups of either label'
    return [*said, *[none] * (len(found) == 1)]


def lines(found: Sequence[Agreement]) -> list[str]:
    """The agreements as sentences."""
    said = []
    for one in found:
        said.append(f'fields called by {one.rule}: {one.accuracy:.1%} as labeled '
                    f'({one.interval[0]:.1%} to {one.interval[1]:.1%}), {one.fields} fields')  # fmt: skip
        for name, part in (('with blasts', one.sensitivity), ('normal', one.specificity)):
            if part:
                said.append(f'  {name:11}  {part[0]:6.1%}  ({part[1]:.1%} to {part[2]:.1%})')
        if one.thresholds:
            said.append(f'  {_threshold(one)}')
    return [*said, *(f'  {note}' for note in notes(found) if len(found) == 1)]


def about(found: Sequence[Agreement], fields: Sequence[CountedField]) -> dict[str, Any]:  # JSON
    """The agreements and the counts of each field, as JSON has them."""
    counts = [{**field._asdict(), 'share': field.share if field.cells else None} for field in fields]
    return {'rules': [one._asdict() for one in found], 'fields': counts}


def _threshold(one: Agreement) -> str:
    least, most = min(one.thresholds), max(one.thresholds)
    end = f', to {most:.1%}' * (most > least)
    return f'from {least:.1%} of blasts on{end}, chosen on the other of {len(one.thresholds)} folds by group'


def _words(part: tuple[float, ...] | None) -> str:
    return f'{part[0]:.1%} ({part[1]:.1%} to {part[2]:.1%})' if part else '—'


def _balanced(called: Bool[np.ndarray, ' fields'], blast: Bool[np.ndarray, ' fields']) -> float:
    return float(
        np.mean([(called == blast)[blast == label].mean() for label in (False, True) if (blast == label).any()])
    )


def _part(right: Bool[np.ndarray, ' fields']) -> tuple[float, float, float] | None:
    if not len(right):
        return None
    low, high = intervals.wilson(int(right.sum()), len(right))
    return float(right.mean()), low, high
