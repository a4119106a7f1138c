"""The results of all runs of a sweep, as one table beside a paper's numbers."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from alljax.data.split import BY_GROUP, GIVEN, LEAVE_ONE
from alljax.evaluation import comparison_table, intervals, metrics
from alljax.evaluation import paper as published
from alljax.evaluation.comparison_table import ComparisonTable, Estimate, ExtraTable, Row
from alljax.runs import environment, results
from alljax.sweep import compared_models, learning_curves, outside, pooled, significance, time_and_segmentation
from alljax.sweep.outside import Outside
from alljax.sweep.pooled import CrossValidation
from alljax.sweep.variant_result import VariantResult, of_tables, read_result
from alljax.sweep.variants import Run, Sweep, Variant

COLUMNS = {
    'paper': 'as published', 'random': 'split by file', 'grouped': 'grouped', LEAVE_ONE: 'one group left out',
    GIVEN: 'given sides',
}  # fmt: skip
LABELS = {
    'macro_recall': 'macro sensitivity',
    'recall': 'sensitivity',
    'accuracy': 'overall accuracy',
    'f1': 'F1',
    'macro_f1': 'macro F1',
    'mcc': 'MCC',
    'kappa': "Cohen's kappa",
}
MEASURES = ('accuracy', 'macro_precision', 'macro_recall')  # of a table without printed numbers
WORST_FIRST = ('unknown', 'repeats only', '', 'patient or slide')  # kinds of groups, where variants have several
MAX_CONFUSIONS = 4  # variants at most for each to have its confusion matrices shown
Results = Mapping[tuple[str, str], VariantResult | str]  # variant, protocol
Abroad = Mapping[str, Mapping[str, VariantResult]]  # column of an external test, variant


def write(folder: Path, sweep: Sweep, runs: Sequence[Run], failed: Mapping[str, str]) -> None:
    """table.md, table.csv, table.html and table.png of what is finished; words stand for what is not.

    Beside them stand the pooled predictions of cross-validations, and learning curves where variants make some.
    """
    by_key = {
        (variant.name, protocol): [run for run in runs if (run.variant.name, run.protocol) == (variant.name, protocol)]
        for variant in sweep.variants
        for protocol in sweep.protocols
    }
    found: Results = {key: read_result(folder, its, failed) for key, its in by_key.items()}
    good = [result for result in found.values() if isinstance(result, VariantResult)]
    if not good:
        return
    finished = {key: its for key, its in by_key.items() if isinstance(found[key], VariantResult)}
    second = outside.read(folder, finished)
    abroad = _abroad(folder, sweep, second, finished)
    verdicts = significance.verdicts(sweep, found, measures)
    rows = [
        _row(sweep, variant, measure, found, verdicts, abroad)
        for variant in sweep.variants
        for measure in measures(variant)
    ]
    shown = [variant for variant in sweep.variants if variant.confusion or len(sweep.variants) <= MAX_CONFUSIONS]
    numbers = pooled.write(folder, [_cross_validation(sweep, *key, its) for key, its in finished.items()])
    protocol = sweep.protocols[-1]
    curves = learning_curves.write(
        folder,
        {variant.name: by_key[variant.name, protocol] for variant in sweep.variants},
        {variant.name: found[variant.name, protocol] for variant in sweep.variants},
    )
    comparison_table.write(
        folder,
        ComparisonTable(
            title=sweep.title,
            source=sweep.source,
            columns={
                **{COLUMNS[protocol]: _leaks(folder, protocol, finished) for protocol in sweep.protocols},
                **{column: bool(second and second.leaky) for column in abroad},
            },
            rows=rows,
            confusions={variant.name: _confusions(sweep, variant, found) for variant in shown},
            notes=[
                *([curves.sentence] if curves else []),
                *sweep.notes,
                *significance.notes(sweep, found),
                *_pooled_notes(numbers),
                *([second.note()] if second else []),
            ],
            banner='synthetic cells' if any(result.synthetic for result in good) else '',
            command=environment.command(),
            extras=_extras(folder, runs, sweep, second, numbers),
            grouping=next((kind for kind in WORST_FIRST if kind in {result.grouping for result in good}), ''),
            models=compared_models.by_variant(folder, runs),
            figures={'Learning curve': curves.figure} if curves else {},
        ),
    )


def _extras(
    folder: Path, runs: Sequence[Run], sweep: Sweep, second: Outside | None, numbers: Mapping[str, pooled.Results | str]
) -> list[ExtraTable]:
    """The smaller tables below the first."""
    abroad = second.numbers(len(sweep.protocols) > 1) if second else {}
    found = [
        pooled.table('pooled', 'Predictions of all folds and repetitions together', pooled.NOTE, numbers),
        pooled.table('external', f'External test on {second.name}' if second else '', pooled.NOTE, abroad),
        time_and_segmentation.table(folder, runs),
    ]
    return [table for table in found if table]


def _cross_validation(sweep: Sweep, variant: str, protocol: str, runs: Sequence[Run]) -> CrossValidation:
    below = Path(runs[0].folder).parent / f'{Path(pooled.PREDICTIONS).stem}-{protocol}.csv'
    return CrossValidation(variant, protocol, below if sweep.declared else Path(pooled.PREDICTIONS), runs)


def _pooled_notes(numbers: Mapping[str, pooled.Results | str]) -> list[str]:
    return [f'{name}: predictions are not pooled, since {words}.' for name, words in numbers.items()
            if isinstance(words, str)]  # fmt: skip


def _abroad(
    folder: Path, sweep: Sweep, second: Outside | None, finished: Mapping[tuple[str, str], Sequence[Run]]
) -> Abroad:
    """A column of the table for each protocol, with the external test of each finished variant."""
    if second is None:
        return {}
    found: dict[str, dict[str, VariantResult]] = {}
    for (variant, protocol), runs in finished.items():
        column = (
            f'outside: {second.name}' if len(sweep.protocols) == 1 else f'{COLUMNS[protocol]}, outside: {second.name}'
        )
        facts = [results.read(folder / run.folder) for run in runs]
        found.setdefault(column, {})[variant] = of_tables(second.tables[variant, protocol], second.classes, facts)
    return found


def measures(variant: Variant) -> Sequence[str]:
    """The measures that the table shows of a variant."""
    return tuple(variant.printed) or MEASURES


def label(measure: str) -> str:
    """'per_class.L1.recall' as 'L1: sensitivity'."""
    if measure.startswith('per_class.'):
        name, kind = measure.removeprefix('per_class.').rsplit('.', 1)
        return f'{name}: {"accuracy against the rest" if kind == "accuracy" else label(kind)}'
    return LABELS.get(measure, measure.replace('_', ' '))


def _row(
    sweep: Sweep, variant: Variant, measure: str, found: Results, verdicts: significance.Verdicts, abroad: Abroad
) -> Row:
    by_protocol = {protocol: found[variant.name, protocol] for protocol in sweep.protocols}
    compared = {
        COLUMNS[protocol]: verdicts[variant.name, measure, protocol]
        for protocol in sweep.protocols
        if (variant.name, measure, protocol) in verdicts
    }
    return Row(
        experiment=variant.name,
        measure=label(measure),
        printed=variant.printed.get(measure),
        estimates={
            **{COLUMNS[protocol]: _estimate(result, measure) for protocol, result in by_protocol.items()},
            **{column: _estimate(its[variant.name], measure) for column, its in abroad.items() if variant.name in its},
        },
        gap=_gap(by_protocol, measure),
        significance=compared,
    )


def _estimate(result: VariantResult | str, measure: str) -> Estimate | str:
    if isinstance(result, str):
        return result
    compute = partial(metrics.compute, measure=measure, names=result.classes)
    value = float(compute(result.counts.total()))
    if value != value:
        return 'undefined'
    bounds = intervals.group_bootstrap(result.counts, compute)
    if bounds and bounds[0] == bounds[1]:  # nothing varies between groups: a point would claim certainty
        cells = _denominator(result, measure)
        bounds = intervals.wilson(round(value * cells), cells, repeats=result.repeats)
    return Estimate(value, (bounds[0], bounds[1]) if bounds else None, result.n)


def _denominator(result: VariantResult, measure: str) -> int:
    """The number of cells that a proportion is of."""
    matrix = result.counts.total()
    name, _, kind = measure.removeprefix('per_class.').rpartition('.')
    if name not in result.classes:
        return int(matrix.sum())
    index = result.classes.index(name)
    denominators = {
        'recall': matrix[index].sum(),
        'precision': matrix[:, index].sum(),
        'specificity': matrix.sum() - matrix[index].sum(),
    }
    return int(denominators.get(kind, matrix.sum()))


def _leaks(folder: Path, protocol: str, finished: Mapping[tuple[str, str], Sequence[Run]]) -> bool:
    """True for a protocol that separates groups; of given sides the runs say it."""
    if protocol != GIVEN:
        return protocol not in BY_GROUP
    runs = [run for (_, its), found in finished.items() if its == GIVEN for run in found]
    return any(results.read(folder / run.folder)['split']['leaky'] for run in runs)


def _gap(by_protocol: Mapping[str, VariantResult | str], measure: str) -> Estimate | None:
    """The first leaky protocol less the first by groups; their test cells differ, so the two are resampled apart."""
    leaky = next((result for protocol, result in by_protocol.items() if protocol not in (*BY_GROUP, GIVEN)), None)
    honest = next((result for protocol, result in by_protocol.items() if protocol in BY_GROUP), None)
    if not isinstance(leaky, VariantResult) or not isinstance(honest, VariantResult):
        return None
    compute = partial(metrics.compute, measure=measure, names=leaky.classes)
    value = float(compute(leaky.counts.total()) - compute(honest.counts.total()))
    if value != value:
        return None
    bounds = intervals.group_bootstrap_difference(leaky.counts, honest.counts, compute)
    return Estimate(value, (bounds[0], bounds[1]) if bounds else None, honest.n)


def _confusions(sweep: Sweep, variant: Variant, found: Results) -> dict:
    shown = {'paper': published.confusion(variant.confusion)} if variant.confusion else {}
    for protocol in sweep.protocols:
        result = found[variant.name, protocol]
        if isinstance(result, VariantResult):
            shown[COLUMNS[protocol]] = (result.classes, result.counts.total())
    return shown
