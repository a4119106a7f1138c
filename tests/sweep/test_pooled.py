"""The predictions of a cross-validation as one table, and learning curves, of runs that were written by hand."""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from alljax.evaluation import intervals, learning_curve
from alljax.evaluation.learning_curve import CELLS, SLIDES, Curve, Point
from alljax.evaluation.metrics import calibration_error, confusion
from alljax.sweep import Sweep, Variant, pooled
from alljax.sweep.summary import write
from alljax.sweep.variants import list_runs
from configs import common

CLASSES = ('L1', 'L2')
TOTAL = 60  # cells in 12 groups


def table(path, files, probabilities):
    with path.open('w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(['file', 'group', 'label', 'prediction', 'probability_L1', 'probability_L2'])
        for n, chance in zip(files, probabilities, strict=True):
            said = CLASSES[int(chance < 0.5)]
            rows.writerow([f'{n}.png', f'g{n % 12}', CLASSES[n % 2], said, f'{chance:.6f}', f'{1 - chance:.6f}'])


def facts(files, probabilities):
    labels, predicted = files % 2, (probabilities < 0.5).astype(int)
    matrix = confusion(labels, predicted, 2).tolist()
    return {'confusion': {'labels': CLASSES, 'matrix': matrix}, 'per_class': {name: {} for name in CLASSES}}


def finished(folder, run, folds, *, train=40, outside=(), skip=0):
    """A run on every cell whose number is of its fold."""
    place = folder / run.folder
    place.mkdir(parents=True)
    rng = np.random.default_rng([run.repeat, run.fold, train])
    files = np.arange(run.fold, TOTAL - skip, folds)
    chances = rng.uniform(0, 1, len(files)).round(6)
    table(place / 'predictions.csv', files, chances)
    found = {
        'test': facts(files, chances),
        'split': {'test_n': len(files), 'train_n': train, 'leaky': False, 'protocol': 'grouped', 'copies': 0,
                  'groups': {'train': train // 5}},
        'data': {'synthetic': False, 'groups': 12, 'counts': {'L1': 30, 'L2': 30}, 'grouping': 'patient or slide'},
    }  # fmt: skip
    if len(outside):
        others = np.asarray(outside)
        its = rng.uniform(0, 1, len(others)).round(6)
        table(place / 'external_predictions.csv', others, its)
        found['external'] = {'name': 'b', 'root': '/b', 'n': len(others), 'leaky': False,
                             'predictions': 'external_predictions.csv', **facts(others, its)}  # fmt: skip
    (place / 'results.json').write_text(json.dumps(found))


def config(**split):
    values = common.get_config()
    values.split.update(split)
    return values


def rows(path):
    return list(csv.DictReader(path.open(newline='')))


def test_a_cross_validation_has_one_table_of_predictions_and_its_numbers(tmp_path):
    values = config(folds=3, repeats=2)
    sweep = Sweep('subtype', [Variant('subtype', {})], ('grouped',), declared=False)
    runs = list_runs(sweep, values)
    for run in runs:
        finished(tmp_path, run, 3)
    write(tmp_path, sweep, runs, {})
    found = rows(tmp_path / 'predictions.csv')
    assert len(found) == 2 * TOTAL
    assert list(found[0])[-2:] == ['fold', 'repeat']
    for repeat in ('0', '1'):
        its = [row for row in found if row['repeat'] == repeat]
        assert sorted(row['file'] for row in its) == sorted(f'{n}.png' for n in range(TOTAL))
    (numbers,) = json.loads((tmp_path / 'pooled.json').read_text())['cross_validations']
    labels, predicted = ([CLASSES.index(row[key]) for row in found] for key in ('label', 'prediction'))
    chances = np.array([[float(row[f'probability_{name}']) for name in CLASSES] for row in found])
    assert (numbers['n'], numbers['cells'], numbers['folds'], numbers['repeats']) == (2 * TOTAL, TOTAL, 3, 2)
    assert numbers['accuracy'] == np.mean(np.equal(labels, predicted))
    assert numbers['macro_recall'] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert numbers['calibration_error'] == calibration_error(np.array(labels), chances)
    assert numbers['mean_confidence'] == pytest.approx(chances.max(1).mean())
    low, high = numbers['accuracy_ci95']['bootstrap_groups']
    assert low < numbers['accuracy'] < high
    assert 'Predictions of all folds' in (tmp_path / 'table.html').read_text()
    assert (tmp_path / 'pooled.csv').is_file()


def test_a_cell_that_is_missing_or_tested_twice_is_told_and_nothing_pooled(tmp_path):
    sweep = Sweep('x', [Variant('x', {})], ('grouped',), declared=False)
    runs = list_runs(sweep, config(folds=3))
    for run in runs:
        finished(tmp_path / 'short', run, 3, skip=4)
        finished(tmp_path / 'twice', run._replace(fold=0), 3) if run.fold != 2 else None
    finished(tmp_path / 'twice', runs[2], 3)
    for name, words in (('short', 'tests 56 cells, expected 60'), ('twice', 'tests 0.png more than once')):
        write(tmp_path / name, sweep, runs, {})
        assert words in (tmp_path / name / 'table.md').read_text()
        assert not (tmp_path / name / 'predictions.csv').exists()
        assert words in str(json.loads((tmp_path / name / 'pooled.json').read_text())['incomplete'])


def test_variants_are_compared_outside_on_the_cells_that_all_tested(tmp_path):
    sweep = Sweep('x', [Variant('0 cells', {'test.adapt_cells': 0}), Variant('5 cells', {'test.adapt_cells': 5})],
                  ('grouped',))  # fmt: skip
    runs = list_runs(sweep, config(repeats=2))
    for run in runs:
        finished(tmp_path, run, 1, outside=range(20) if run.variant.name == '0 cells' else range(4 + run.repeat, 20))
    write(tmp_path, sweep, runs, {})
    (row,) = [row for row in rows(tmp_path / 'table.csv') if row['cell'] == '0 cells' and 'accuracy' in row['measure']]
    right = [
        line['label'] == line['prediction']
        for run in runs[:2]
        for line in rows(tmp_path / run.folder / 'external_predictions.csv')
        if int(line['file'][:-4]) >= 4 + run.repeat
    ]
    assert float(row['outside: b']) == pytest.approx(np.mean(right))
    assert 'those that every variant tested' in (tmp_path / 'table.md').read_text()
    assert [float(line['predictions']) for line in rows(tmp_path / 'external.csv')] == [31, 31]
    assert (tmp_path / '0-cells' / 'predictions-grouped.csv').is_file()


def test_a_learning_curve_is_drawn_and_says_what_is_needed(tmp_path):
    variants = [Variant('1 slide', {'split.train_groups': 1}), Variant('4 cells', {'split.train_cells': 4}),
                Variant('all', {})]  # fmt: skip
    sweep = Sweep('Learning curve', variants, ('grouped',))
    runs = list_runs(sweep, config(folds=2, repeats=2))
    for run in runs:
        finished(tmp_path, run, 2, train={'1 slide': 10, '4 cells': 15, 'all': 40}[run.variant.name])
    write(tmp_path, sweep, runs, {})
    assert (tmp_path / 'learning_curve.png').read_bytes().startswith(b'\x89PNG')
    lines = rows(tmp_path / 'learning_curve.csv')
    assert [(line['curve'], line['variant'], line['training_cells']) for line in lines[::2]] == [
        ('slides', '1 slide', '10'), ('slides', 'all', '40'), ('cells', '4 cells', '15'), ('cells', 'all', '40')
    ]  # fmt: skip
    assert 'The last doubling of slides' in (tmp_path / 'table.md').read_text()
    assert 'Learning curve</h2>' in (tmp_path / 'table.html').read_text()


def curve(grows, *scores):
    return Curve(grows, [Point(2.0**n, 10 * 2.0**n, its) for n, its in enumerate(scores)])


@pytest.mark.parametrize(
    ('slides', 'cells', 'expected'),
    [
        ((0.6, 0.61, 0.6), (0.69, 0.70, 0.71), 'more slides are needed rather than more cells'),
        ((0.69, 0.70, 0.71), (0.6, 0.61, 0.6), 'more cells of each slide are needed rather than more slides'),
        ((0.6, 0.61, 0.6), (0.6, 0.61, 0.6), 'cannot be told from noise whether slides or cells do'),
        ((0.65, 0.75, 0.70), (0.75, 0.65, 0.72), 'neither gain can be told from noise'),
        ((0.60, 0.73, 0.72), (0.70, 0.83, 0.82), 'a doubling of slides is worth more, but by itself'),
    ],
)
def test_the_last_doubling_decides(slides, cells, expected):
    whole = (0.7, 0.71, 0.72)
    curves = [curve(SLIDES, (0.2, 0.2, 0.2), slides, whole), curve(CELLS, (0.2, 0.2, 0.2), cells, whole)]
    assert expected in learning_curve.conclusion(curves, 'macro recall')


def test_a_gain_is_of_the_half_and_has_students_interval():
    found = learning_curve.last_doubling(curve(SLIDES, (0.4, 0.5, 0.3), (0.5, 0.55, 0.45)))
    assert found.mean == pytest.approx(0.1)
    assert found.interval == pytest.approx((0.1 - 4.302653 * 0.05 / 3**0.5, 0.1 + 4.302653 * 0.05 / 3**0.5))
    wide = Curve(SLIDES, [Point(1, 10, (0.4,)), Point(4, 40, (0.6,))])
    assert learning_curve.last_doubling(wide).mean == pytest.approx(0.1)  # half way in the logarithm
    assert learning_curve.last_doubling(Curve(SLIDES, [Point(3, 9, (0.4,)), Point(4, 12, (0.6,))])) is None
    assert 'does not reach' in learning_curve.conclusion([wide], 'accuracy')


def test_the_interval_of_independent_cells_counts_a_cell_of_several_repetitions_once():
    names, rng = [f'{n}.png' for n in range(50)], np.random.default_rng(0)
    tables = []
    for _ in range(4):
        right = rng.uniform(size=50) < 0.7
        tables.append([{'file': name, 'group': name, 'label': 'L1', 'prediction': 'L1' if hit else 'L2',
                        'probability_L1': f'{float(hit)}', 'probability_L2': f'{1 - float(hit)}'}
                       for name, hit in zip(names, right, strict=True)])  # fmt: skip
    found = pooled.scores(tables, CLASSES, 4)
    assert found['n'] == 200
    assert found['accuracy_ci95']['wilson'] == intervals.wilson(round(50 * found['accuracy']), 50)
    once = pooled.scores(tables[:1], CLASSES)
    assert once['accuracy_ci95']['wilson'] == intervals.wilson(round(50 * once['accuracy']), 50)
