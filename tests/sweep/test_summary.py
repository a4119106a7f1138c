"""Tables of runs whose predictions were written by hand."""

import csv
import json

import numpy as np
import pytest

from alljax.evaluation import intervals
from alljax.evaluation.metrics import confusion
from alljax.sweep import Sweep, Variant, compared_models, summary, variant_result
from alljax.sweep.summary import label, write
from alljax.sweep.variants import list_runs
from configs import common

CLASSES = ('L1', 'L2')


def finished(folder, run, right, *, offset=0, synthetic=True, **data):
    """A run on 40 cells in 8 groups, of which `right` were classified rightly."""
    place = folder / run.folder
    place.mkdir(parents=True)
    labels = np.arange(40) % 2
    predictions = np.where(np.arange(40) < right, labels, 1 - labels)
    with (place / 'predictions.csv').open('w', newline='') as file:
        rows = csv.writer(file)
        rows.writerow(['file', 'group', 'label', 'prediction'])
        for n, (label, prediction) in enumerate(zip(labels, predictions, strict=True)):
            rows.writerow([f'{n + offset}.png', f'g{n % 8}', CLASSES[label], CLASSES[prediction]])
    facts = {
        'test': {'confusion': {'labels': CLASSES, 'matrix': confusion(labels, predictions, 2).tolist()}},
        'split': {'test_n': 40, 'train_n': 60},
        'data': {'synthetic': synthetic, 'groups': 8, 'counts': {'L1': 50, 'L2': 50}, **data},
    }
    (place / 'results.json').write_text(json.dumps(facts))


def table(folder):
    return {row['cell'] + '|' + row['measure']: row for row in csv.DictReader((folder / 'table.csv').open())}


def config(**split):
    values = common.get_config()
    values.split.update(split)
    return values


@pytest.fixture
def sweep():
    printed = {'accuracy': 0.97, 'per_class.L1.recall': None}
    return Sweep('A table', [Variant('a', {}, printed), Variant('b', {}, printed, against='a')], source='A paper')


def test_numbers_gap_and_noise(tmp_path, sweep):
    runs = list_runs(sweep, config())
    for run, right in zip(runs, (40, 30, 39, 12), strict=True):  # a: paper, grouped; b: paper, grouped
        finished(tmp_path, run, right)
    write(tmp_path, sweep, runs, {})
    rows = table(tmp_path)
    text = (tmp_path / 'table.md').read_text()
    first, second = rows['a|overall accuracy'], rows['b|overall accuracy']
    assert (float(first['paper']), float(first['grouped'])) == (0.97, 0.75)
    leaky = next(key for key in first if 'leaky' in key and key.endswith('n')).removesuffix(' n')
    assert float(first[leaky]) == 1.0
    assert float(first[leaky + ' n']) == 40
    assert float(first['gap']) == pytest.approx(0.25)
    assert float(first['gap low']) < 0.25 < float(first['gap high'])
    assert first['gap verdict'] == 'more than noise'
    judged = [value for key, value in second.items() if key.endswith('against the reference')]
    assert judged == ['p = 1: within noise', 'p < 0.001: more than noise']  # 39 against 40, 12 against 30
    assert 'reference' in first.values()
    assert 'Synthetic cells' in text
    assert 'L1: sensitivity' in text


def test_a_row_of_a_chain_is_compared_and_compared_with(tmp_path):
    shown = {'accuracy': None}
    rows = [Variant('a', {}, shown), Variant('b', {}, shown, against='a'), Variant('c', {}, shown, against='b')]
    chain = Sweep('A chain', rows, ('grouped',))
    runs = list_runs(chain, config())
    for run, right in zip(runs, (30, 12, 13), strict=True):
        finished(tmp_path, run, right)
    write(tmp_path, chain, runs, {})
    said = [row['grouped against the reference'] for row in table(tmp_path).values()]
    assert said == ['reference', 'p < 0.001: more than noise', 'p = 1: within noise (against b)']


@pytest.mark.parametrize(
    ('data', 'head', 'note'),
    [
        ({}, 'grouped', ''),  # of a release that does not say
        ({'groups': 100}, 'grouped (patients unknown)', 'No groups are known for these cells'),
        ({'grouping': 'unknown'}, 'grouped (patients unknown)', 'No groups are known for these cells'),
        ({'grouping': 'repeats only'}, 'grouped (by repeats only)', 'The groups are repeats of one cell only'),
        ({'grouping': 'patient or slide'}, 'grouped', 'The groups are patients or slides'),
    ],
)
def test_the_table_says_what_grouped_means(tmp_path, sweep, data, head, note):
    runs = list_runs(sweep, config())
    for run in runs:
        finished(tmp_path, run, 30, **data)
    write(tmp_path, sweep, runs, {})
    text = (tmp_path / 'table.md').read_text()
    assert f'| {head} |' in text
    assert note in text
    assert text.count('groups are') + text.count('groups are known') <= 2


def test_what_is_not_there_is_told_in_words(tmp_path, sweep):
    runs = list_runs(sweep, config())
    finished(tmp_path, runs[0], 40)
    write(tmp_path, sweep, runs, {runs[3].folder: 'the loss is no longer a finite number'})
    text = (tmp_path / 'table.md').read_text()
    assert 'failed: the loss is no longer a finite number' in text
    assert 'not run yet' in text
    html = (tmp_path / 'table.html').read_text()
    assert 'the loss is no longer a finite number' in html


def test_no_table_without_a_finished_run(tmp_path, sweep):
    write(tmp_path, sweep, list_runs(sweep, config()), {})
    assert not (tmp_path / 'table.md').exists()


def test_folds_are_scored_together_and_compared_by_the_corrected_test(tmp_path, sweep):
    values = config(folds=3)
    runs = list_runs(sweep, values)
    for number, run in enumerate(runs):
        good = 36 if run.variant.name == 'a' else 30 + run.fold
        finished(tmp_path, run, good, offset=40 * run.fold, synthetic=False)
        assert number < 12
    write(tmp_path, sweep, runs, {})
    text = (tmp_path / 'table.md').read_text()
    assert 'all 3 folds together' in text
    assert 'Nadeau' in text
    assert '90.0' in text  # 36 of 40 in each fold
    assert 'synthetic' not in text
    write(tmp_path, sweep, runs[1:], {})


def test_a_half_finished_cross_validation_has_no_number(tmp_path, sweep):
    runs = list_runs(sweep, config(folds=3))
    finished(tmp_path, runs[0], 40)
    for run in runs[3:6]:
        finished(tmp_path, run, 40, offset=40 * run.fold)
    write(tmp_path, sweep, runs, {})
    assert '1 of 3 runs finished' in (tmp_path / 'table.md').read_text()


def test_measures_in_words():
    assert label('per_class.L2.recall') == 'L2: sensitivity'
    assert label('macro_precision') == 'macro precision'
    assert label('per_class.L.2.accuracy') == 'L.2: accuracy against the rest'


def test_a_row_has_its_model_its_reports_and_its_worst_slides(tmp_path):
    sweep = Sweep('A table', [Variant('a', {}, {'accuracy': None})], ('paper', 'grouped'))
    runs = list_runs(sweep, config(folds=2))
    for run in runs:
        finished(tmp_path, run, 40 if run.fold else 20, offset=40 * run.fold, grouping='patient or slide')
        place = tmp_path / run.folder
        facts = json.loads((place / 'results.json').read_text())
        facts['model'] = {'name': 'vogado2017', 'parts': 'network → svm', 'network': 'alexnet'}
        (place / 'results.json').write_text(json.dumps(facts))
        rows = (place / 'predictions.csv').read_text().splitlines()
        slides = [rows[0], *(row.replace(',g', f',{run.fold}-', 1) for row in rows[1:])]
        (place / 'predictions.csv').write_text('\n'.join(slides))
    (tmp_path / runs[-1].folder / 'report.html').write_text('a report')
    write(tmp_path, sweep, runs, {})
    found = compared_models.by_variant(tmp_path, runs)['a']
    assert found.model == 'vogado2017 (network → svm; alexnet)'
    assert found.pages == {f'{runs[-1].folder}/report.html': 'grouped fold 2 (fold-1)'}
    assert found.worst == ''  # twenty errors lie on eight of sixteen slides
    assert f'href="{runs[-1].folder}/report.html"' in (tmp_path / 'table.html').read_text()
    assert compared_models.by_variant(tmp_path / 'empty', runs) == {}
    (tmp_path / 'a' / 'report.html').write_text('the report of all folds')
    assert list(compared_models.by_variant(tmp_path, runs)['a'].pages.values()) == [
        'all folds',
        'grouped fold 2 (fold-1)',
    ]


def test_a_picture_of_several_repetitions_counts_once_where_no_group_differs():
    rows = [{'file': f'{n}', 'group': f'{n % 2}', 'label': 'a', 'prediction': 'ab'[n < 4]} for n in range(20)]
    facts = {'split': {'test_n': 20, 'train_n': 20}, 'data': {'synthetic': False, 'groups': 2, 'counts': {'a': 20}}}
    once, thrice = (variant_result.of_tables([rows] * times, ('a', 'b'), [facts] * times) for times in (1, 3))
    assert (thrice.n, thrice.repeats) == (20, 3)
    bounds = summary._estimate(thrice, 'accuracy').interval
    assert bounds == summary._estimate(once, 'accuracy').interval == tuple(intervals.wilson(16, 20))
