"""Runs that are calibrated on their validation fold, from the config to the words of `alljax predict`."""

import csv
import json
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from alljax import commands
from alljax import config as fields
from alljax.commands import predict
from alljax.config import resolve
from alljax.data.cells import Cells, Origin
from alljax.errors import UserError
from alljax.evaluation import calibration_table
from alljax.evaluation.calibration import least_confidence, least_probability, temperature, tempered
from alljax.evaluation.metrics import calibration_error
from alljax.runs import (
    calibration,
    classical_system,
    classical_system_kind,
    experiment,
    external,
    results,
    run_cells,
    segmentation_sheet,
)
from alljax.storage import model_folder
from alljax.storage.calibration_record import Calibration
from alljax.storage.card import Card
from alljax.sweep import execution
from configs import folder as folder_config

Y, X = np.mgrid[:64, :64]
SLIDES = 10


def picture(radius, seed):
    """A nucleus of about a radius on pale ground."""
    rng = np.random.default_rng(seed)
    image = np.full((64, 64, 3), (235, 210, 215), float)
    image[np.hypot(Y - 32, X - 32) < radius + 3 * rng.normal()] = (95, 65, 145)
    return (image + rng.normal(0, 6, image.shape)).clip(0, 255).astype(np.uint8)


def write_set(root, cells, seed):
    """Two classes that overlap, and slides that hold both."""
    lines = ['file,group']
    for place, (name, radius) in enumerate((('large', 15), ('small', 11))):
        (root / name).mkdir(parents=True)
        for number in range(cells):
            Image.fromarray(picture(radius, [seed, place, number])).save(root / name / f'{number:02}.png')
            lines.append(f'{name}/{number:02}.png,s{number % SLIDES}')
    (root / 'groups.csv').write_text('\n'.join(lines) + '\n')
    return root


def values(data, **more):
    config = folder_config.get_config()
    changes = {
        'data.root': str(data), 'data.size': 64, 'data.equalize': 'none', 'baseline.system': 'chatap2014',
        'baseline.classify': ('pnn',), 'split.validation': 0.4, 'split.test': 0.4, 'calibration.fit': 'validation',
        'calibration.coverage': 0.6, 'calibration.accuracy': 0.9, **more,
    }  # fmt: skip
    return fields.with_fields(config, changes)


def plan_of(data, **more):
    return resolve.resolve(values(data, **more), {'data.equalize'})


def plan_of_both(sets):
    return plan_of(sets / 'a', **{'test.root': str(sets / 'b'), 'calibration.unlike': 'mahalanobis'})


@pytest.fixture(scope='module', autouse=True)
def _without_sheets():
    """No outlines are measured and drawn, which nothing here looks at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation_sheet, 'score', lambda *_, **__: ({}, {}))
        yield


@pytest.fixture(scope='module')
def sets(tmp_path_factory):
    top = tmp_path_factory.mktemp('sets')
    write_set(top / 'a', 40, 0)
    write_set(top / 'b', 10, 1)
    return top


@pytest.fixture(scope='module')
def run(sets, tmp_path_factory):
    """A calibrated system, tested on a second set as well. Copy it before changing it."""
    folder = tmp_path_factory.mktemp('calibrated') / 'run'
    return experiment.run(plan_of_both(sets), folder)


def rows(path):
    return list(csv.DictReader(path.open(newline='')))


def numbers(table):
    shares = np.array([[float(row[f'probability_{name}']) for name in ('large', 'small')] for row in table])
    return shares, np.array([('large', 'small').index(row['label']) for row in table])


@pytest.mark.slow
def test_the_card_holds_what_the_validation_fold_says(run, sets):
    plan = plan_of(sets / 'a')
    found = run_cells.load(plan)
    held_out, trained = found.cells.take(found.parts.validation), classical_system_kind.SYSTEM.load(run)
    assert not set(held_out.groups) & set(found.cells.groups[found.parts.train])
    assert trained.card.pictures.cells == len(found.parts.train)  # the validation fold has not trained
    shares = classical_system.predictor(trained)(held_out.images, 28)
    known = trained.card.calibration
    assert known.temperature == pytest.approx(temperature(shares, held_out.labels))
    after, own = tempered(shares, known.temperature), np.arange(len(held_out))
    assert known.least == pytest.approx(least_probability(after[own, held_out.labels], held_out.groups, 0.6))
    right = after.argmax(1) == held_out.labels
    assert known.certain == pytest.approx(least_confidence(after.max(1), right, 0.9))
    assert (known.cells, known.groups, known.source) == (len(held_out), len(set(held_out.groups)), 'validation fold')


@pytest.mark.slow
def test_the_test_s_probabilities_are_tempered_and_measured(run):
    found, table = results.read(run), rows(run / 'predictions.csv')
    known, test = found['calibration'], found['calibration']['test']
    shares, labels = numbers(table)
    raw = tempered(shares, 1 / known['temperature'])
    assert known['temperature'] != pytest.approx(1, abs=0.02)
    assert test['error_after'] == pytest.approx(calibration_error(labels, shares), abs=1e-5)
    assert test['error_before'] == pytest.approx(calibration_error(labels, raw), abs=1e-4)
    assert found['test']['calibration_error'] == test['error_after']
    np.testing.assert_allclose([float(row['uncalibrated_confidence']) for row in table], raw.max(1), atol=1e-4)
    sure, right = shares.max(1), shares.argmax(1) == labels
    assert test['answered'] == pytest.approx(np.mean(sure >= known['certain'] - 1e-6))
    assert test['accuracy_of_answered'] == pytest.approx(np.mean(right[sure >= known['certain'] - 1e-6]))
    assert [row['answer'] == 'uncertain' for row in table] == (sure < known['certain'] - 1e-6).tolist()
    covered = np.array([row['label'] in row['set'].split('|') for row in table])
    assert test['covered'] == covered.mean()
    by_slide = [covered[[row['group'] == name for row in table]].mean() for name in {row['group'] for row in table}]
    assert test['covered_by_group']['mean'] == pytest.approx(np.mean(by_slide))
    assert test['covered_by_group']['lowest'] == min(by_slide)
    assert test['covered_by_group']['groups_that_reach_it'] == sum(share >= 0.6 for share in by_slide)
    assert 'What the calibrated model says of the test cells' in (run / 'report.html').read_text()


@pytest.mark.slow
def test_an_external_test_is_calibrated_too_and_keeps_both_errors(run):
    entry, table = results.read(run)['external'], rows(run / 'external_predictions.csv')
    shares, labels = numbers(table)
    assert entry['calibration_error'] == entry['calibration']['error_after']
    assert entry['calibration']['error_after'] == pytest.approx(calibration_error(labels, shares), abs=1e-5)
    assert entry['calibration']['error_before'] != entry['calibration']['error_after']
    page = (run / 'report.html').read_text()
    assert 'Answered, not uncertain' in page
    assert 'Calibration error before the temperature' in page


@pytest.mark.slow
def test_a_finished_run_evaluated_again_keeps_its_numbers(run, sets, tmp_path):
    shutil.copytree(run, tmp_path / 'run')
    before, card = results.read(run), model_folder.read_card(run / 'model')
    experiment.run(plan_of_both(sets), tmp_path / 'run')
    after = results.read(tmp_path / 'run')
    assert (after['calibration'], after['test']) == (before['calibration'], before['test'])
    assert model_folder.read_card(tmp_path / 'run' / 'model') == card
    (entry,) = external.evaluate_on(tmp_path / 'run', sets / 'b')
    assert entry['calibration'] == before['external']['calibration']
    assert (after['unlike'], entry['unlike']) == (before['unlike'], before['external']['unlike'])


@pytest.mark.slow
def test_predict_answers_as_the_run_s_own_test(run, sets, tmp_path, capsys):
    table = rows(run / 'predictions.csv')
    files = [str(sets / 'a' / row['file']) for row in table]
    assert predict.main([str(run), *files, '--csv', str(tmp_path / 'out.csv')]) == 0
    said, lines = capsys.readouterr(), rows(tmp_path / 'out.csv')
    assert list(lines[0])[-5:] == ['note', 'unlike', 'error', 'answer', 'set']
    for row, line, told in zip(table, lines, said.out.splitlines(), strict=True):
        assert float(line['probability_small']) == pytest.approx(float(row['probability_small']), abs=2e-6)
        assert (line['set'], line['answer']) == (row['set'], 'unlike the training cells' if line['unlike'] else
                                                 row['answer'])  # fmt: skip
        sure = f'{row["prediction"]} {max(numbers([row])[0][0]):.1%}'
        if line['unlike']:
            assert f': unlike the training cells: {line["unlike"]} ({sure})' in told
        elif row['answer'] == 'uncertain':
            assert re.search(r': uncertain: (large or small|small or large|probably \w+) \(', told)
            assert told.endswith(f'({sure})')
        else:
            assert told.endswith(f': {sure}')
    assert {row['answer'] for row in table} > {'uncertain'}
    beyond = np.mean(['its features are unlike theirs (mahalanobis ' in line['unlike'] for line in lines])
    assert beyond == results.read(run)['unlike']['share_of_test_cells']
    uncertain = [line for line in lines if line['answer'] == 'uncertain']
    assert f'{len(uncertain)} of {len(lines)} pictures are uncertain: their confidence is below' in said.err


@pytest.mark.slow
def test_without_it_nothing_is_calibrated(run, sets, tmp_path, capsys):
    plain = experiment.run(plan_of(sets / 'a', **{'calibration.fit': 'none'}), tmp_path / 'run')
    assert 'calibration' not in results.read(plain)
    assert 'calibration' not in json.loads((plain / 'model' / 'facts.json').read_text())
    assert 'Certainty' not in (plain / 'report.html').read_text()
    assert list(rows(plain / 'predictions.csv')[0])[-1] == 'probability_small'
    file = sets / 'a' / rows(plain / 'predictions.csv')[0]['file']
    assert predict.main([str(plain), str(file), '--csv', str(tmp_path / 'out.csv')]) == 0
    assert list(rows(tmp_path / 'out.csv')[0])[-1] == 'error'
    assert 'uncertain' not in capsys.readouterr().out
    found = run_cells.load(plan_of(sets / 'a'))
    trained = classical_system_kind.SYSTEM.load(plain).card.pictures.cells  # as ever with the validation fold
    assert trained == len(found.parts.train) + len(found.parts.validation)


CALIBRATED = Calibration(2.0, 0.9, 0.2, 0.95, 0.7, 30, 12, 'validation fold')


def line(shares, known=CALIBRATED, unlike=''):
    """The line of `alljax predict` for one picture."""
    from alljax import predict as room

    classes = ('L1', 'L2', 'L3')
    run = room.Predictor(classes, Card(classes, system={}, calibration=known), lambda images, size: np.array([shares]))
    (row,) = room._rows(run, np.zeros((1, 8, 8, 3), np.uint8), 1)
    row = row._replace(file='a.png', unlike=unlike)
    return predict._line(row._replace(answer=room.UNLIKE) if unlike else row, classes, 1)


@pytest.mark.parametrize(
    ('shares', 'words'),
    [
        ((0.9604, 0.0196, 0.02), 'a.png: L1 77.7%'),  # 0.98 : 0.14 : 0.1414
        ((0.64, 0.35, 0.01), 'a.png: uncertain: L1 or L2 (L1 53.6%)'),  # 0.8 : 0.5916 : 0.1
        ((0.7, 0.03, 0.03), 'a.png: uncertain: probably L1 (L1 70.7%)'),
        ((0.4, 0.3, 0.3), 'a.png: uncertain: any class (L1 36.6%)'),
    ],
)
def test_the_words_of_an_answer(shares, words):
    known = CALIBRATED._replace(certain=0.75)
    shares = np.array(shares) / np.sum(shares)
    assert line(shares, known) == words
    assert line(shares, None) == f'a.png: L1 {shares[0]:.1%}'
    told = line(shares, known, unlike='9 × 9 pixels')
    assert told.startswith('a.png: unlike the training cells: 9 × 9 pixels (L1 ')


def test_a_class_without_a_chance_has_none_in_either_place():
    """knn's votes of zero become finite logits in a run's test, and stay zeros in `predict`."""
    test = Cells(np.zeros((1, 1, 1, 3), np.uint8), np.zeros(1, np.int32), np.zeros(1, np.int32),
                 np.full(1, -1, np.int32), ('a.png',), ('L1', 'L2'), ('s',), Origin('x', 'f', False, '/'))  # fmt: skip
    output = results.TestOutput({}, np.log([[1.0, classical_system.NO_CHANCE]]), {})
    card = Card(('L1', 'L2'), system={}, calibration=CALIBRATED._replace(temperature=20.0))
    found = calibration.of_test(output, card, test)
    np.testing.assert_allclose(np.exp(found.logits), [[1, 0]], atol=1e-300)
    assert calibration.of_test(output, replace(card, calibration=None), test) is output


def test_the_page_says_what_a_calibration_cannot_promise():
    known = {**CALIBRATED._asdict(), 'least': 0.0, 'groups': 4, 'certain': None}
    said = ' '.join(calibration_table.sentences(known, leaky=True))
    assert '4 groups are too few to bound a set at 90.0% (it takes 9)' in said
    assert 'none of this holds for a new slide' in said
    assert 'no confidence reached 95.0%' in calibration_table.answered(known)
    said = ' '.join(calibration_table.sentences(CALIBRATED._asdict(), leaky=False))
    assert 'too few' not in said
    assert 'new slide' not in said
    assert 'from a confidence of 70.0%' in calibration_table.answered(CALIBRATED._asdict())


def test_what_cannot_be_is_told(sets):
    with pytest.raises(UserError, match=r'calibration.fit is validation, which needs .* set config.split.validation'):
        plan_of(sets / 'a', **{'split.validation': 0.0})
    with pytest.raises(UserError, match=r'calibration.unlike is energy, but chatap2014 is a classical system'):
        plan_of(sets / 'a', **{'calibration.unlike': 'energy'})


@pytest.mark.slow
def test_folds_are_pooled_with_their_calibrations(sets, tmp_path, monkeypatch):
    monkeypatch.setattr(execution, '_pool', lambda jobs, heard: execution.Pool(ThreadPoolExecutor(1)))
    arguments = [f'--config.{name}={value}' for name, value in fields.flat(values(sets / 'a')).items()
                 if name in ('data.root', 'data.size', 'data.equalize', 'baseline.system', 'split.validation',
                             'calibration.fit', 'calibration.coverage')]  # fmt: skip
    workdir = tmp_path / 'folds'
    assert commands.run('train', ['--config=configs/folder.py', *arguments, "--config.baseline.classify=('pnn',)",
                                  '--config.split.folds=2', f'--workdir={workdir}']) == 0  # fmt: skip
    (numbers,) = json.loads((workdir / 'pooled.json').read_text())['cross_validations']
    table = rows(workdir / 'predictions.csv')
    found = numbers['calibration']
    assert found['covered'] == np.mean([row['label'] in row['set'].split('|') for row in table])
    assert found['answered'] == np.mean([row['answer'] != 'uncertain' for row in table])
    assert found['error_after'] == pytest.approx(numbers['calibration_error'], abs=1e-9)
    assert found['covered_by_group']['groups'] == SLIDES
    header = (workdir / 'pooled.csv').read_text().splitlines()[0]
    assert header.endswith('error before,covered,set size,answered,accuracy of answered')
