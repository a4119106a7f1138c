"""Tests of whether two variants differ by more than chance would make them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from alljax.evaluation import metrics, paired_tests
from alljax.sweep.outcome import Outcome
from alljax.sweep.variants import Sweep, Variant

LEVEL = 0.05  # two-sided, after Holm's correction
Verdicts = dict[tuple[str, str, str], str]  # variant, measure, protocol


def verdicts(
    sweep: Sweep, found: Mapping[tuple[str, str], Outcome | str], measures: Callable[[Variant], Sequence[str]]
) -> Verdicts:
    """'reference', or 'p = 0.43: within noise', for every number that is compared with another.

    p is of McNemar's test where both were tested once on the same cells, else of the corrected t-test over folds;
    Holm's correction is over the variants that are compared with one reference.
    """
    said: Verdicts = {}
    families: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for variant in (variant for variant in sweep.variants if variant.against):
        for protocol in sweep.protocols:
            for measure in measures(variant):
                p = _p(found[variant.name, protocol], found[variant.against, protocol], measure)
                if p is not None:
                    families[variant.against, measure, protocol][variant.name] = p
    for (against, measure, protocol), values in families.items():
        said[against, measure, protocol] = 'reference'
        for name, p in zip(values, paired_tests.holm(list(values.values())), strict=True):
            amount = 'p < 0.001' if p < 0.001 else f'p = {p:.2g}'
            said[name, measure, protocol] = f'{amount}: {"more than" if p < LEVEL else "within"} noise'
    return said


def notes(sweep: Sweep, found: Mapping[tuple[str, str], Outcome | str]) -> list[str]:
    """Sentences that a reader needs about the tests and intervals."""
    good = [one for one in found.values() if isinstance(one, Outcome)]
    said = []
    if any(variant.against for variant in sweep.variants):
        test = (
            "McNemar's exact test of who is right on the same test cells, each taken as independent"
            if all(len(one.folds) == 1 for one in good)
            else 'the t-test over folds with the variance corrected for shared training cells (Nadeau & Bengio 2003)'
        )
        said.append(f"p is of {test}, with Holm's correction.")
    if any(len(one.folds) > 1 for one in good):
        said.append(f'Each number is over the test cells of all {max(len(one.folds) for one in good)} folds together.')
    if any(np.trace(one.matrices.sum(0)) == one.matrices.sum() for one in good):
        said.append("Where every cell is right the interval is Wilson's, as if cells were independent.")
    if any(one.single_groups for one in good):
        said.append(
            'No groups are known for these cells, so the grouped column may leak as well: name slides, patients or '
            'repeats in groups.csv (python -m alljax.data.audit finds repeats).'
        )
    return said


def _p(first: Outcome | str, second: Outcome | str, measure: str) -> float | None:
    if isinstance(first, str) or isinstance(second, str) or first.classes != second.classes:
        return None
    if len(first.folds) == 1:
        found = paired_tests.mcnemar_by_file(first.correct[0], second.correct[0])
        return None if found is None else found.p
    if len(first.folds) != len(second.folds):
        return None
    pairs = zip(first.folds, second.folds, strict=True)
    values = [[float(metrics.compute(fold, measure, first.classes)) for fold in pair] for pair in pairs]
    differences = np.array([one - other for one, other in values])
    if np.isnan(differences).any():
        return None
    return paired_tests.corrected_t_test(differences, first.test_share).p
