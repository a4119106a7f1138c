"""The commands as a user gives them, on a network of a twentieth of the width."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from forked import Started

from alljax import commands
from alljax.commands import predict

ROOT = Path(__file__).parents[1]
SMALL = ('--config.model.width=0.05', '--config.model.head=8', '--config.epochs=2', '--config.data.cells=80',
         '--config.data.color=HSV', '--config.data.denoise=mean', '--config.data.size=96',
         '--config.model.size=64')  # fmt: skip


def launch(*arguments, config='subtype'):
    """The exit code of a command, and all that it says."""
    return Started('train', f'--config=configs/{config}.py', *arguments).outcome()


@pytest.fixture
def told(monkeypatch, capsys):
    """What a refused command says; it runs in this process, which has loaded all that it needs."""
    monkeypatch.chdir(ROOT)

    def said(*arguments):
        with pytest.raises(SystemExit) as end:
            commands.run('train', ['--config=configs/subtype.py', *arguments])
        assert end.value.code == 2
        return capsys.readouterr().err

    return said


@pytest.fixture(scope='module')
def demo(tmp_path_factory):
    workdir = tmp_path_factory.mktemp('runs') / 'demo'
    command = [sys.executable, 'launch.py', '--config=configs/subtype.py', *SMALL, f'--workdir={workdir}']
    result = subprocess.run([*command, '--config.split.validation=0.3'], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return workdir, result.stderr


@pytest.mark.slow
def test_a_demo_says_so_first_and_everywhere(demo):
    workdir, said = demo
    assert said.splitlines()[0].startswith('DEMO on synthetic cells')
    assert json.loads((workdir / 'results.json').read_text())['data']['synthetic'] is True
    assert 'synthetic cells' in (workdir / 'report.html').read_text()
    assert 'DEMO' in (workdir / 'run.log').read_text()


def test_the_default_folder_of_a_demo_says_so(tmp_path, monkeypatch):
    from alljax.storage import run_folder

    assert run_folder.default('configs/subtype.py', 'synthetic', True).name.startswith('subtype-demo-synthetic-20')
    assert run_folder.default('configs/folder.py', 'folder', False).name.startswith('folder-folder-20')


@pytest.mark.slow
def test_the_run_folder_holds_what_it_should(demo):
    workdir, _ = demo
    names = {path.name for path in workdir.iterdir()}
    assert names >= {'config.json', 'metrics.jsonl', 'results.json', 'predictions.csv', 'curves.png', 'confusion.png',
                     'report.html', 'run.log', 'checkpoints', 'model', 'tensorboard'}  # fmt: skip
    results = json.loads((workdir / 'results.json').read_text())
    assert results['data'].keys() >= {'name', 'synthetic', 'fingerprint', 'counts'}
    assert results['split'].keys() >= {'protocol', 'leaky', 'train_n', 'test_n', 'groups'}
    assert results['test'].keys() >= {'n', 'accuracy', 'accuracy_ci95', 'macro_precision', 'macro_recall',
                                      'macro_specificity', 'per_class', 'confusion'}  # fmt: skip
    assert results['train'].keys() >= {'epochs', 'steps', 'seconds', 'images_per_second'}
    assert results.keys() >= {'model', 'seed', 'environment', 'command'}
    assert results['test']['confusion']['rows'] == 'true'
    assert np.sum(results['test']['confusion']['matrix']) == results['test']['n'] == results['split']['test_n']
    rows = list(csv.DictReader((workdir / 'predictions.csv').open()))
    assert len(rows) == results['test']['n']
    right = sum(row['label'] == row['prediction'] for row in rows)
    assert right / len(rows) == pytest.approx(results['test']['accuracy'])
    assert sum(float(value) for key, value in rows[0].items() if key.startswith('probability_')) == pytest.approx(
        1, abs=1e-5
    )


@pytest.mark.slow
def test_a_finished_run_is_only_evaluated_again(demo):
    workdir, _ = demo
    before = json.loads((workdir / 'results.json').read_text())
    code, said = launch(*SMALL, f'--workdir={workdir}', '--config.split.validation=0.3')
    assert code == 0, said
    assert 'this run is finished: evaluating it again' in said
    assert 'epoch 1 of' not in said
    after = json.loads((workdir / 'results.json').read_text())
    assert before['test'] == after['test']
    assert before['train'] == after['train']


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(demo, tmp_path):
    workdir, _ = demo
    given = f'--workdir={tmp_path / "again"}', '--config.split.validation=0.3', '--config.report.heat_maps=False'
    assert launch(*SMALL, *given)[0] == 0
    first, second = (json.loads((folder / 'results.json').read_text()) for folder in (workdir, tmp_path / 'again'))
    assert first['test'] == second['test']
    assert (workdir / 'predictions.csv').read_text() == (tmp_path / 'again' / 'predictions.csv').read_text()


@pytest.mark.slow
def test_a_folder_of_another_config_is_refused_with_the_difference(demo, told):
    workdir, _ = demo
    said = told(*SMALL, f'--workdir={workdir}', '--config.split.validation=0.3', '--config.seed=5')
    assert 'holds a run of another config (seed: 0 there, 5 now)' in said


def test_a_folder_that_holds_no_run_is_refused(tmp_path, told):
    (tmp_path / 'thesis.txt').write_text('mine')
    assert 'holds thesis.txt but no run' in told(*SMALL, f'--workdir={tmp_path}')


@pytest.mark.slow
def test_a_mistake_is_a_sentence():
    code, said = launch('--config.model.init=random', '--config.epoch=3')  # as a process, which shows all that it says
    assert code == 2
    assert said.count('\n') == 1
    assert 'did you mean --config.epochs?' in said


def test_imagenet_on_real_data_says_what_to_do(tmp_path, told):
    said = told(f'--config.data.root={tmp_path}', '--config.data.name=all_idb2')
    assert '--config.model.init=random' in said


def test_alljax_data_names_the_folder(tmp_path, told, monkeypatch):
    monkeypatch.setenv('ALLJAX_DATA', str(tmp_path))
    said = told('--config.model.init=random')
    assert f'{tmp_path}: holds nothing, expected ALL_IDB2/img/' in said


@pytest.mark.slow
def test_predict_agrees_with_the_run(demo, tmp_path):
    workdir, _ = demo
    rows = list(csv.DictReader((workdir / 'predictions.csv').open()))[:5]
    root = Path(json.loads((workdir / 'results.json').read_text())['data']['root'])
    table = tmp_path / 'out.csv'
    assert predict.main([str(workdir), *(str(root / row['file']) for row in rows), '--csv', str(table)]) == 0
    for row, again in zip(rows, csv.DictReader(table.open()), strict=True):
        for key in (key for key in row if key.startswith('probability_')):
            assert float(row[key]) == pytest.approx(float(again[key]), abs=2e-5)


@pytest.mark.slow
def test_a_run_starts_from_another_and_a_random_split_is_marked_leaky(demo, tmp_path):
    workdir, _ = demo
    given = f'--workdir={tmp_path / "next"}', f'--config.model.init={workdir}', '--config.split.protocol=random'
    code, said = launch(*SMALL, *given, '--config.report.heat_maps=False', config='detection')
    assert code == 0, said
    found = json.loads((tmp_path / 'next' / 'results.json').read_text())
    assert found['model']['init'] == f'{workdir}, without its head for L1, L2, L3, normal'
    assert found['split']['leaky'] is True
    assert 'leaky split' in said
    assert 'leaky' in (tmp_path / 'next' / 'report.html').read_text().lower()
