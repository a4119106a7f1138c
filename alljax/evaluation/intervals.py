"""95% intervals of accuracies and other measures: for independent cells, and for cells that come in groups."""

import itertools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Float, Int

from alljax.evaluation import metrics

Measure = Callable[[metrics.Marginals], np.ndarray]  # of as many confusion matrices as there are draws, to [draws]
MANY = 20_000  # groups: of more, those of equal content are drawn together, which is the same draw and much faster
AT_ONCE = 2**22  # numbers of a batch of draws: memory does not grow with their number


class GroupedCounts(NamedTuple):
    """The confusion matrix of each group, as the entries that are not zero: never more of them than cells."""

    entries: Int[np.ndarray, 'entries 3']  # group, true class, predicted class
    counts: Int[np.ndarray, ' entries']  # cells
    groups: int
    classes: int

    def total(self) -> Int[np.ndarray, 'classes classes']:
        """The confusion matrix of all groups together, rows = true classes."""
        matrix = np.zeros((self.classes, self.classes), np.int64)
        np.add.at(matrix, (self.entries[:, 1], self.entries[:, 2]), self.counts)
        return matrix


def wilson(successes: int | np.integer, n: int | np.integer, level: float = 0.95, *, repeats: int = 1) -> list[float]:
    """Return Wilson's score interval [low, high] of a proportion, as fractions of 1.

    It takes every cell as independent, so it is too narrow where cells of one slide resemble each other. A cell
    that was tested `repeats` times, among the n, counts once: to test it again tells nothing of other cells. Raises
    ValueError for n = 0. Source: Wilson 1927, J. Am. Stat. Assoc. 22:209.
    """
    if n < 1:
        raise ValueError(f'n is {n}: an interval needs at least one cell')
    once = max(1, round(n / repeats))
    share, z = min(once, round(successes / repeats)) / once, scipy.special.ndtri((1 + level) / 2)
    # not scipy.stats, whose import takes as long as the rest of a prediction's
    middle, reach = share + z**2 / (2 * once), z * np.sqrt(share * (1 - share) / once + (z / (2 * once)) ** 2)
    low, high = ((middle + side * reach) / (1 + z**2 / once) for side in (-1, 1))
    return [float(low) if share else 0.0, float(high) if share < 1 else 1.0]


def quoted(both: Mapping[str, Any]) -> Any:  # two numbers, as JSON has them
    """The interval that is quoted, of the two of an accuracy in results.json: that over groups.

    Wilson's stands in where groups cannot be resampled, or do not vary: a point would claim certainty.
    """
    return of_groups(both['bootstrap_groups']) or both['wilson']


def of_groups(bounds: Any) -> Any:  # two numbers, as JSON has them, or None
    """The interval over groups; None where it cannot be had, or is a point, as where no group differs from another."""
    return bounds if bounds and bounds[0] != bounds[1] else None


def accuracy_bootstrap(
    correct: Bool[np.ndarray, ' cells'],
    groups: Int[np.ndarray, ' cells'],
    *,
    seed: int = 0,
    samples: int = 2000,
    level: float = 0.95,
) -> list[float] | None:
    """Return the interval of the accuracy of `correct` cells by `group_bootstrap`."""
    counts = confusion_by_group(np.ones(len(correct), int), correct.astype(int), groups, 2)
    return group_bootstrap(counts, metrics.OVERALL['accuracy'], seed=seed, samples=samples, level=level)


def confusion_by_group(
    labels: Int[np.ndarray, ' cells'],
    predictions: Int[np.ndarray, ' cells'],
    groups: Int[np.ndarray, ' cells'],
    classes: int,
) -> GroupedCounts:
    """Return a confusion matrix of each group that has cells, in the order of the groups.

    Raises ValueError for a label or prediction outside 0 … classes - 1.
    """
    metrics.check_labels(labels, predictions, classes)
    names, member = np.unique(groups, return_inverse=True)
    shape = (len(names), classes, classes)
    flat, counts = np.unique((member * classes + labels) * classes + predictions, return_counts=True)
    entries = np.stack(np.unravel_index(flat.astype(np.int64), shape), 1)
    return GroupedCounts(entries, counts, len(names), classes)


def group_bootstrap(
    counts: GroupedCounts,
    measure: Measure,
    *,
    seed: int = 0,
    samples: int = 2000,
    level: float = 0.95,
) -> list[float] | None:
    """Return the percentile interval [low, high] of a measure when whole groups are drawn with replacement.

    None where there are fewer than two groups: nothing varies between them, so no interval can be had; and where the
    measure is undefined in most draws. With few groups the interval is too narrow, and where every cell is right (or
    wrong) it shrinks to a point; Wilson's does not. Source: the cluster bootstrap of Davison & Hinkley 1997, section
    3.8.
    """
    drawn = _drawn(counts, measure, seed, samples)
    return None if drawn is None else _percentiles(drawn, level)


def group_bootstrap_difference(
    first: GroupedCounts,
    second: GroupedCounts,
    measure: Measure,
    *,
    seed: int = 0,
    samples: int = 2000,
    level: float = 0.95,
    paired: bool = False,
) -> list[float] | None:
    """Return the interval of measure(first) - measure(second), the groups of each drawn apart from the other's.

    Where both hold the same cells this is too wide, for what is hard for one is hard for the other: with `paired` the
    same groups are drawn for both. Raises ValueError if these are then not as many, or too many to draw one by one.
    """
    if paired and (first.groups != second.groups or first.groups > MANY):
        raise ValueError(f'{first.groups} and {second.groups} groups cannot be paired; expected as many, up to {MANY}')
    drawn_first = _drawn(first, measure, seed, samples)
    drawn_second = _drawn(second, measure, seed + (not paired), samples)
    if drawn_first is None or drawn_second is None:
        return None
    return _percentiles(drawn_first - drawn_second, level)


def share_bootstrap(
    chosen: Bool[np.ndarray, 'cells columns'],
    right: Bool[np.ndarray, ' cells'],
    groups: Int[np.ndarray, ' cells'],
    *,
    seed: int = 0,
    samples: int = 2000,
    level: float = 0.95,
) -> list[list[float] | None]:
    """Return for each column the interval of the share of its chosen cells that is right, over whole groups.

    Every column has the same draws, those of `group_bootstrap`: where all cells are chosen, its interval is that of
    `accuracy_bootstrap`. None where fewer than two groups hold cells, or more than `MANY`, or where most draws choose
    no cell.
    """
    member = np.unique(groups, return_inverse=True)[1]
    count = int(member.max(initial=-1)) + 1
    if not 2 <= count <= MANY:
        return [None] * chosen.shape[1]
    cells, hits = np.zeros((2, count, chosen.shape[1]))
    np.add.at(cells, member, chosen)
    np.add.at(hits, member, chosen & right[:, None])
    rng, found, size = np.random.default_rng(seed), [], max(1, AT_ONCE // count)
    for start in range(0, samples, size):
        times = rng.multinomial(count, np.ones(count) / count, size=min(size, samples - start)).astype(float)
        drawn = times @ cells
        found.append(np.divide(times @ hits, drawn, out=np.full_like(drawn, np.nan), where=drawn > 0))
    return [_percentiles(column, level) for column in np.concatenate(found).T]


def _drawn(counts: GroupedCounts, measure: Measure, seed: int, samples: int) -> Float[np.ndarray, ' samples'] | None:
    """The measure of as many groups as there are, drawn with replacement, for each sample."""
    if counts.groups < 2:
        return None
    kinds, alike = _kinds(counts) if counts.groups > MANY else (counts, np.ones(counts.groups))
    group, true, predicted = kinds.entries.T
    hit = true == predicted
    parts = [
        scipy.sparse.csr_array((kinds.counts[some], (group[some], of[some])), (kinds.groups, kinds.classes))
        for some, of in ((hit, true), (slice(None), true), (slice(None), predicted))
    ]
    rng, chances = np.random.default_rng(seed), alike / counts.groups
    size = max(1, AT_ONCE // max(kinds.groups, kinds.classes))
    found = []
    for start in range(0, samples, size):
        times = rng.multinomial(counts.groups, chances, size=min(size, samples - start))
        # contiguous, for a sum along the other axis rounds otherwise
        found.append(measure(metrics.Marginals(*(np.ascontiguousarray(times @ part) for part in parts))))
    return np.concatenate(found)


def _kinds(counts: GroupedCounts) -> tuple[GroupedCounts, Float[np.ndarray, ' kinds']]:
    """One group of each content, and how many have it: single cells of four classes are of 16 kinds at most."""
    contents = np.column_stack([counts.entries[:, 1:], counts.counts])
    ends = np.searchsorted(counts.entries[:, 0], np.arange(counts.groups + 1))
    kind: dict[bytes, int] = {}
    alike: list[int] = []
    rows = []
    for start, end in itertools.pairwise(ends):
        own = kind.setdefault(contents[start:end].tobytes(), len(alike))
        if own == len(alike):
            alike.append(0)
            rows.append(np.column_stack([np.full(end - start, own), contents[start:end]]))
        alike[own] += 1
    merged = np.concatenate(rows)
    return GroupedCounts(merged[:, :3], merged[:, 3], len(alike), counts.classes), np.array(alike, float)


def _percentiles(values: Float[np.ndarray, ' samples'], level: float) -> list[float] | None:
    defined = values[~np.isnan(values)]
    if len(defined) < len(values) / 2:
        return None
    return [float(bound) for bound in np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])]
