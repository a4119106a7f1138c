"""Significance of the differences between variants, and the notes that explain it."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from alljax.evaluation import metrics, paired_tests
from alljax.sweep.variant_result import VariantResult
from alljax.sweep.variants import Sweep, Variant

LEVEL = 0.05  # two-sided, after Holm's correction
# data.grouping of results.json → the sentence below the table
GROUPINGS = {
    'patient or slide': 'The groups are patients or slides: no cells of one are on both sides of the grouped split.',
    'repeats only': 'The groups are repeats of one cell only, so the grouped column may leak as well: name slides or '
    'patients in cells.csv or groups.csv.',
    'unknown': 'No groups are known for these cells, so the grouped column may leak as well: name slides, patients or '
    'repeats in groups.csv (python -m alljax.data.audit finds repeats).',
}
Verdicts = dict[tuple[str, str, str], str]  # variant, measure, protocol


def verdicts(
    sweep: Sweep, found: Mapping[tuple[str, str], VariantResult | str], measures: Callable[[Variant], Sequence[str]]
) -> Verdicts:
    """'reference', or 'p = 0.43: within noise', for every number that is compared with another.

    p is of McNemar's test where both were tested once on the same cells, else of the corrected t-test over folds;
    Holm's correction is over the variants that are compared with one reference, which is named if it is itself compared
    with another.
    """
    compared: Verdicts = {}
    families: dict[tuple[str, str, str], dict[str, float]] = defaultdict(dict)
    for variant in (variant for variant in sweep.variants if variant.against):
        for protocol in sweep.protocols:
            for measure in measures(variant):
                p = _p(found[variant.name, protocol], found[variant.against, protocol], measure)
                if p is not None:
                    families[variant.against, measure, protocol][variant.name] = p
    chained = {variant.name for variant in sweep.variants if variant.against}
    for (against, measure, protocol), values in families.items():
        named = f' (against {against})' if against in chained else ''
        for name, p in zip(values, paired_tests.holm(list(values.values())), strict=True):
            amount = 'p < 0.001' if p < 0.001 else f'p = {p:.2g}'
            compared[name, measure, protocol] = f'{amount}: {"more than" if p < LEVEL else "within"} noise{named}'
    return {**dict.fromkeys(families, 'reference'), **compared}


def notes(sweep: Sweep, found: Mapping[tuple[str, str], VariantResult | str]) -> list[str]:
    """Sentences that a reader needs about the tests and intervals."""
    good = [result for result in found.values() if isinstance(result, VariantResult)]
    sentences = []
    if any(variant.against for variant in sweep.variants):
        test = (
            "McNemar's exact test of who is right on the same test cells, each taken as independent"
            if all(len(result.fold_matrices) == 1 for result in good)
            else 'the t-test over folds with the variance corrected for shared training cells (Nadeau & Bengio 2003)'
        )
        sentences.append(f"p is of {test}, with Holm's correction.")
    if any(len(result.fold_matrices) > 1 for result in good):
        folds = max(len(result.fold_matrices) for result in good)
        sentences.append(f'Each number is over the test cells of all {folds} folds together.')
    if any(np.trace(result.counts.total()) == result.counts.counts.sum() for result in good):
        sentences.append("Where every cell is right the interval is Wilson's, as if cells were independent.")
    uses: dict[str, list[str]] = defaultdict(list)
    for (name, _), result in found.items():
        if isinstance(result, VariantResult) and result.transductive and name not in uses[result.transductive]:
            uses[result.transductive].append(name)
    sentences += [f'Transductive ({what}): {", ".join(names)}.' for what, names in uses.items()]
    sentences += [GROUPINGS[kind] for kind in dict.fromkeys(result.grouping for result in good) if kind in GROUPINGS]
    return sentences


def _p(first: VariantResult | str, second: VariantResult | str, measure: str) -> float | None:
    if isinstance(first, str) or isinstance(second, str) or first.classes != second.classes:
        return None
    if len(first.fold_matrices) == 1:
        test = paired_tests.mcnemar_by_file(first.correct_by_file[0], second.correct_by_file[0])
        return None if test is None else test.p
    if len(first.fold_matrices) != len(second.fold_matrices):
        return None
    pairs = zip(first.fold_matrices, second.fold_matrices, strict=True)
    values = [[float(metrics.compute(fold, measure, first.classes)) for fold in pair] for pair in pairs]
    differences = np.array([left - right for left, right in values])
    if np.isnan(differences).any():
        return None
    return paired_tests.corrected_t_test(differences, first.test_train_ratio).p
