"""A cross-validation of drawn cells is a run like any other, with a final model that predict takes."""

import base64
import csv
import json
import logging
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from alljax.commands import baselines, explain, predict
from alljax.config import resolve
from alljax.errors import UserError
from alljax.evaluation.calibration import temperature
from alljax.runs import ensemble_of_runs, external, final_model, results, segmentation_sheet
from alljax.runs.results import Judged
from alljax.storage import heat_map_file, model_folder, run_folder
from alljax.sweep import cross_validation, execution, fold_calibration, launch
from alljax.sweep.cross_validation import Folds
from alljax.sweep.fold_calibration import Folded
from alljax.sweep.variants import Run, Variant
from configs import folder as folder_config

SLIDES, CELLS = 5, 40


def picture(radius, seed):
    """A nucleus of about a radius on pale ground."""
    y, x = np.mgrid[:64, :64]
    rng = np.random.default_rng(seed)
    image = np.full((64, 64, 3), (235, 210, 215), float)
    image[np.hypot(y - 32, x - 32) < radius + 3 * rng.normal()] = (95, 65, 145)
    return (image + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)


def write_set(root, seed=0):
    """Two classes that overlap, on slides that hold both."""
    lines = ['file,group']
    for place, (name, radius) in enumerate((('large', 14), ('small', 11))):
        (root / name).mkdir(parents=True)
        for number in range(CELLS // 2):
            Image.fromarray(picture(radius, [seed, place, number])).save(root / name / f'{number:02}.png')
            lines.append(f'{name}/{number:02}.png,s{number % SLIDES}')
    (root / 'groups.csv').write_text('\n'.join(lines) + '\n')
    return root


def config(data, **split):
    values = folder_config.get_config()
    values.data.root, values.data.size, values.data.equalize = str(data), 64, 'none'
    values.baseline.system, values.baseline.classify = 'chatap2014', ('pnn',)
    values.split.update({'folds': 2, **split})
    return values


def run(data, folder, fit='none', **split):
    values = config(data, **split)
    values.calibration.fit, values.calibration.coverage = fit, 0.6
    return launch(values, 'configs/folder.py', {'data.equalize': 'none'}, folder)


@pytest.fixture(scope='module', autouse=True)
def _in_this_process():
    """Does the runs in threads, without a sheet of outlines each: processes and sheets take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation_sheet, 'score', lambda *_, **__: ({}, {}))
        patch.setattr(execution, '_pool', lambda jobs, heard: execution.Pool(ThreadPoolExecutor(1)))
        yield


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp('cells') / 'mine')


@pytest.fixture(scope='module')
def first(data, tmp_path_factory):
    """Two folds without a final model. Copy them before changing them."""
    folder = tmp_path_factory.mktemp('runs') / 'first'
    assert run(data, folder)
    return folder


@pytest.fixture(scope='module')
def whole(data, first, tmp_path_factory):
    """The same with a final model that was added afterwards, calibrated by the folds."""
    folder = shutil.copytree(first, tmp_path_factory.mktemp('runs') / 'whole')
    assert run(data, folder, 'folds', final_model=True)
    return folder


def rows(folder):
    return list(csv.DictReader((folder / 'predictions.csv').open(newline='')))


def test_its_results_are_those_of_all_folds_together(first, data):
    found, table = results.read(first), rows(first)
    assert run_folder.is_finished(first)
    assert results.predictions(first) == table
    right = [row['label'] == row['prediction'] for row in table]
    assert (found['test']['n'], found['test']['accuracy']) == (CELLS, np.mean(right))
    known = found['cross_validation']
    assert (known['name'], known['repeats'], known['cells'], known['final']) == (
        '2-fold cross-validation', 1, CELLS, ''
    )  # fmt: skip
    assert [one['folder'] for one in known['folds']] == [f'folder/grouped-fold-{f}' for f in '01']
    for one in known['folds']:
        its = results.read(first / one['folder'])
        assert (one['n'], one['accuracy']) == (its['test']['n'], its['test']['accuracy'])
        assert one['groups'] == its['split']['groups']['test']
    assert found['split']['groups'] == {'train': 2, 'validation': 0, 'test': SLIDES}  # 2 and 3 in turn
    assert found['split']['test_counts'] == {'large': CELLS // 2, 'small': CELLS // 2}
    assert found['data'] == its['data']
    assert found['model']['name'] == its['model']['name']
    assert results.marks(found) == ['grouped (by patient or slide)']
    page = (first / 'report.html').read_text()
    assert 'href="folder/grouped-fold-0/report.html"' in page
    assert page.count('data:image/png') == 1 + min(12, sum(not one for one in right))
    assert 'There is no model of the whole' in page
    assert (first / 'confusion.png').is_file()
    assert json.loads((first / 'config.json').read_text())['data.root'] == str(data)


def test_of_repetitions_each_cell_counts_as_often_and_is_shown_once(first):
    places = [first / f'folder/grouped-fold-{fold}' for fold in (0, 1)]
    runs = [
        Run(Variant('x', {}), 'grouped', repeat, fold, {}, f'r{repeat}{fold}') for repeat in (0, 1) for fold in (0, 1)
    ]
    found = Folds(runs, [results.read(place) for place in places] * 2, [rows(place) for place in places] * 2)
    whole = cross_validation._results(found, None)
    assert (whole['test']['n'], whole['split']['test_n'], whole['split']['groups']['test']) == (80, 80, SLIDES)
    known = whole['cross_validation']
    assert (known['name'], known['repeats'], known['cells']) == ('2-fold cross-validation, 2 times', 2, CELLS)
    plan = resolve.of_run(places[0])
    assert sorted(cross_validation._pictured(found, plan, first).cells.names) == sorted(
        row['file'] for row in rows(first)
    )


def test_a_final_model_is_added_to_it_and_the_folds_are_kept(first, whole, data):
    fold = 'folder/grouped-fold-0/results.json'
    assert (whole / fold).read_bytes() == (first / fold).read_bytes()
    final = results.read(whole / 'final')
    assert final['test'] == {'n': 0}
    assert final['split']['train_n'] == CELLS
    assert not (whole / 'final' / 'predictions.csv').exists()
    assert not (whole / 'final' / 'report.html').exists()
    with pytest.raises(UserError, match='has trained on all cells and tested none'):
        results.predictions(whole / 'final')
    assert results.read(whole)['cross_validation']['final'] == 'final'
    with pytest.raises(UserError, match=r'split\.final_model: True there, False now'):
        run(data, whole)
    scores = model_folder.read_card(model_folder.find(whole)).scores
    test = results.read(whole)['test']
    assert (scores.accuracy, [scores.low, scores.high]) == (test['accuracy'], test['accuracy_ci95']['bootstrap_groups'])
    assert (scores.source, scores.folds, scores.cells) == ('cross-validation', 2, CELLS)


def test_its_calibration_is_that_of_cells_which_the_folds_did_not_train_on(whole):
    known = model_folder.read_card(whole / 'final' / 'model').calibration
    table = rows(whole)
    shares = np.array([[float(row[f'probability_{name}']) for name in ('large', 'small')] for row in table])
    labels = np.array([('large', 'small').index(row['label']) for row in table])
    found = results.read(whole)['calibration']
    assert found['judged']['temperature'] == pytest.approx(temperature(shares, labels))
    assert known.temperature == 1  # since that one does harm on the other fold
    assert (
        found['judged']['error'][1]
        > found['judged']['error'][0]
        == pytest.approx(results.read(whole)['test']['calibration_error'])
    )
    assert known.refused == tuple(found['refused'])
    assert (known.cells, known.groups, known.source) == (CELLS, SLIDES, 'folds of the cross-validation')
    assert found['temperature'] == known.temperature
    assert found['test']['error_before'] == pytest.approx(results.read(whole)['test']['calibration_error'])
    assert (
        'each fold is judged by a calibration that was measured on the other folds'
        in (whole / 'report.html').read_text()
    )


def test_each_fold_is_judged_by_the_calibration_of_the_others():
    """Two folds that are wrong about their confidence in opposite ways: each is judged by the other's temperature."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    folds = np.repeat([0, 1], 200)
    chance = np.where(folds == 0, 0.99, 0.6)  # of the label; right in 80 % of both
    right = rng.uniform(size=400) < 0.8
    own = np.where(right, chance, 1 - chance)
    probabilities = np.stack([np.where(labels == 0, own, 1 - own), np.where(labels == 1, own, 1 - own)], 1)
    judged = Judged(labels, probabilities.argmax(1), probabilities, np.arange(400) // 10)
    options = execution.Plan._field_defaults['calibration']
    known, test = fold_calibration.fitted(Folded(judged, folds, np.zeros(400, int), 400), options)
    second = temperature(probabilities[folds == 1], labels[folds == 1])
    first = temperature(probabilities[folds == 0], labels[folds == 0])
    assert second < test['judged']['temperature'] < first
    assert (known.temperature, known.refused) == (1.0, ('temperature',))  # it does harm on the other fold
    test = test['test']
    said = [1 / (1 + (1 / p - 1) ** (1 / t)) for p, t in ((0.99, second), (0.6, first))]
    share = [right[folds == fold].mean() for fold in (0, 1)]
    expected = np.mean(np.abs(np.array(said) - share))
    assert test['error_after'] == pytest.approx(expected, abs=1e-6)
    assert test['error_after'] > test['error_before']  # an honest scheme says so


def test_predict_takes_its_folder_and_says_what_it_is(first, whole, data, capsys, tmp_path):
    assert predict.main([str(whole), str(data / 'large'), '--csv', str(tmp_path / 'out.csv')]) == 0
    said = capsys.readouterr().err
    test = results.read(whole)['test']
    low, high = test['accuracy_ci95']['bootstrap_groups']
    assert (
        'the final model of a 2-fold cross-validation, trained on all 40 cells; its accuracy on new slides was '
        f'estimated by the folds: {100 * test["accuracy"]:.1f} % ({100 * low:.1f} to {100 * high:.1f})'
    ) in said
    assert next(csv.DictReader((tmp_path / 'out.csv').open()))['answer']
    with pytest.raises(
        UserError, match=r'no model of its own; name one of them, such as .*--config\.split\.final_model'
    ):
        predict.main([str(first), str(data / 'large')])
    assert final_model.about(first / 'folder/grouped-fold-0') == ''
    with pytest.raises(UserError, match='a classical system; expected a network'):
        explain.main([str(whole), str(data / 'large')])


@pytest.mark.slow
def test_what_reads_a_run_knows_its_folds(whole, tmp_path, monkeypatch, capsys):
    joined = ensemble_of_runs.written([whole], tmp_path / 'average')
    assert [path.name for path in joined.runs] == [f'grouped-fold-{f}' for f in '01']

    def copied(plans, config_file, folder, jobs, failed, bar, **together):
        for run, plan in plans:
            fold = whole / 'folder' / run.folder.partition('/')[2]
            assert (plan.system.name, plan.split) == ('li2016', resolve.of_run(fold).split)
            shutil.copytree(fold, folder / run.folder)

    monkeypatch.setattr(execution, 'run_all', copied)
    assert baselines.main(['li2016', str(whole), '--workdir', str(tmp_path / 'beside')]) == 0
    assert 'of 40 cells' in capsys.readouterr().out
    assert results.read(tmp_path / 'beside')['test']['n'] == CELLS
    theirs = write_set(tmp_path / 'theirs', 1)
    (entry,) = external.evaluate_on(shutil.copytree(whole, tmp_path / 'whole'), theirs)
    assert ', another set: accuracy' in (tmp_path / 'whole' / 'MODEL_CARD.md').read_text()
    mine = results.read(tmp_path / 'whole')
    assert mine['external']['accuracy'] == entry['accuracy']
    assert len(results.external_predictions(tmp_path / 'whole', mine['external'])) == CELLS
    assert mine['test'] == results.read(whole)['test']


def test_the_same_command_goes_on_and_rewrites_what_is_pooled(whole, data, tmp_path, caplog):
    folder = shutil.copytree(whole, tmp_path / 'whole')
    shutil.rmtree(folder / 'folder/grouped-fold-0')
    (folder / 'final/results.json').unlink()
    tested = rows(folder / 'folder/grouped-fold-1')[0]['file']
    heat_map_file.write(folder / 'folder/grouped-fold-1', {tested: b'as of a network'})
    with caplog.at_level(logging.INFO):
        assert run(data, folder, 'folds', final_model=True)
    assert '1 runs are finished and kept' in caplog.text
    before, after = results.read(whole), results.read(folder)
    assert (after['test'], after['calibration']) == (before['test'], before['calibration'])
    assert base64.b64encode(b'as of a network').decode() in (folder / 'report.html').read_text()
    assert 'There are no heat maps: a classical system has no layers' in (whole / 'report.html').read_text()


def test_damage_is_told_by_the_same_command_and_by_ensemble(whole, data, tmp_path):
    folder = shutil.copytree(whole, tmp_path / 'whole')
    (folder / 'folder/grouped-fold-1/config.json').unlink()
    with pytest.raises(UserError, match=r'grouped-fold-1/config.json: is missing, .* delete .*/grouped-fold-1 and'):
        ensemble_of_runs.written([folder], tmp_path / 'average')
    largest = max((path for path in (folder / 'final/model').iterdir()), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)
    with pytest.raises(UserError) as told:
        run(data, folder, 'folds', final_model=True)
    first, second = sorted(told.value.problems, key=lambda said: 'config.json' not in said)
    assert 'config.json: is missing' in first
    assert f'delete {folder / "final"} and give the same command again, which trains it again' in second
    shutil.rmtree(folder / 'folder/grouped-fold-1')
    with pytest.raises(UserError, match='grouped-fold-1: is gone, a fold of this cross-validation'):
        ensemble_of_runs.written([folder], tmp_path / 'average')


@pytest.mark.parametrize(
    ('fields', 'said'),
    [
        ({'folds': 1, 'final_model': True}, 'belongs to a cross-validation'),
        ({'fold': 1, 'final_model': True}, 'needs all folds, and config.split.fold is 1'),
        ({'all_cells': True}, 'tests no cell, so there is nothing to divide'),
        ({'fit': 'folds'}, 'calibrates the final model of a cross-validation'),
    ],
)
def test_a_final_model_without_folds_is_refused(data, tmp_path, fields, said):
    with pytest.raises(UserError, match=said):
        run(data, tmp_path / 'run', **fields)
