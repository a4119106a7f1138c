"""The findings of all runs of a sweep, as one table beside a paper's numbers."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from alljax.evaluation import comparison_table, intervals, metrics
from alljax.evaluation import paper as published
from alljax.evaluation.comparison_table import ComparisonTable, Estimate, Row
from alljax.runs import results
from alljax.sweep import costs, significance
from alljax.sweep.outcome import Outcome, outcome
from alljax.sweep.variants import Run, Sweep, Variant

COLUMNS = {'paper': 'as published', 'random': 'split by file', 'grouped': 'grouped'}
WORDS = {
    'macro_recall': 'macro sensitivity',
    'recall': 'sensitivity',
    'accuracy': 'overall accuracy',
    'f1': 'F1',
    'macro_f1': 'macro F1',
    'mcc': 'MCC',
    'kappa': "Cohen's kappa",
}
MEASURES = ('accuracy', 'macro_precision', 'macro_recall')  # of a table without printed numbers
FEW = 4  # variants of which each has its confusion matrices shown
Found = Mapping[tuple[str, str], Outcome | str]  # variant, protocol


def write(folder: Path, sweep: Sweep, runs: Sequence[Run], failed: Mapping[str, str]) -> None:
    """table.md, table.csv, table.html and table.png of what is finished; what is not is told in words."""
    found = {
        (variant.name, protocol): outcome(
            folder, [run for run in runs if run.variant.name == variant.name and run.protocol == protocol], failed
        )
        for variant in sweep.variants
        for protocol in sweep.protocols
    }
    good = [one for one in found.values() if isinstance(one, Outcome)]
    if not good:
        return
    said = significance.verdicts(sweep, found, measures)
    rows = [_row(sweep, variant, measure, found, said) for variant in sweep.variants for measure in measures(variant)]
    shown = [variant for variant in sweep.variants if variant.confusion or len(sweep.variants) <= FEW]
    comparison_table.write(
        folder,
        ComparisonTable(
            title=sweep.title,
            source=sweep.source,
            columns={COLUMNS[protocol]: protocol != 'grouped' for protocol in sweep.protocols},
            rows=rows,
            confusions={variant.name: _confusions(sweep, variant, found) for variant in shown},
            notes=[*sweep.notes, *significance.notes(sweep, found)],
            banner='synthetic cells' if any(one.synthetic for one in good) else '',
            command=results.command(),
            extra=costs.table(folder, runs),
        ),
    )


def measures(variant: Variant) -> Sequence[str]:
    """The measures that the table shows of a variant."""
    return tuple(variant.printed) or MEASURES


def words(measure: str) -> str:
    """'per_class.L1.recall' as 'L1: sensitivity'."""
    if measure.startswith('per_class.'):
        name, kind = measure.removeprefix('per_class.').rsplit('.', 1)
        return f'{name}: {"accuracy against the rest" if kind == "accuracy" else words(kind)}'
    return WORDS.get(measure, measure.replace('_', ' '))


def _row(sweep: Sweep, variant: Variant, measure: str, found: Found, said: significance.Verdicts) -> Row:
    its = {protocol: found[variant.name, protocol] for protocol in sweep.protocols}
    verdicts = {
        COLUMNS[protocol]: said[variant.name, measure, protocol]
        for protocol in sweep.protocols
        if (variant.name, measure, protocol) in said
    }
    return Row(
        experiment=variant.name,
        measure=words(measure),
        printed=variant.printed.get(measure),
        estimates={COLUMNS[protocol]: _estimate(one, measure) for protocol, one in its.items()},
        gap=_gap(its, measure),
        significance=verdicts,
    )


def _estimate(one: Outcome | str, measure: str) -> Estimate | str:
    if isinstance(one, str):
        return one
    of = partial(metrics.compute, measure=measure, names=one.classes)
    value = float(of(one.matrices.sum(0)))
    if value != value:
        return 'undefined'
    bounds = intervals.group_bootstrap(one.matrices, of)
    if bounds and bounds[0] == bounds[1]:  # nothing varies between groups: a point would claim certainty
        cells = _denominator(one, measure)
        bounds = intervals.wilson(round(value * cells), cells)
    return Estimate(value, (bounds[0], bounds[1]) if bounds else None, one.n)


def _denominator(one: Outcome, measure: str) -> int:
    """The cells that a proportion is of."""
    matrix = one.matrices.sum(0)
    name, _, kind = measure.removeprefix('per_class.').rpartition('.')
    if name not in one.classes:
        return int(matrix.sum())
    its = one.classes.index(name)
    of = {
        'recall': matrix[its].sum(),
        'precision': matrix[:, its].sum(),
        'specificity': matrix.sum() - matrix[its].sum(),
    }
    return int(of.get(kind, matrix.sum()))


def _gap(its: Mapping[str, Outcome | str], measure: str) -> Estimate | None:
    """The first leaky protocol less the grouped one; their test cells differ, so the two are resampled apart."""
    leaky = next((one for protocol, one in its.items() if protocol != 'grouped'), None)
    honest = its.get('grouped')
    if not isinstance(leaky, Outcome) or not isinstance(honest, Outcome):
        return None
    of = partial(metrics.compute, measure=measure, names=leaky.classes)
    value = float(of(leaky.matrices.sum(0)) - of(honest.matrices.sum(0)))
    if value != value:
        return None
    bounds = intervals.group_bootstrap_difference(leaky.matrices, honest.matrices, of)
    return Estimate(value, (bounds[0], bounds[1]) if bounds else None, honest.n)


def _confusions(sweep: Sweep, variant: Variant, found: Found) -> dict:
    shown = {'paper': published.confusion(variant.confusion)} if variant.confusion else {}
    for protocol in sweep.protocols:
        one = found[variant.name, protocol]
        if isinstance(one, Outcome):
            shown[COLUMNS[protocol]] = (one.classes, one.matrices.sum(0))
    return shown
