"""Damaged files of a run folder end in a note or in a sentence with the remedy, and the remedy works."""

import json
import shutil
from pathlib import Path
from random import Random

import numpy as np
import pytest
from damage import KINDS, damage, damaged, files
from helpers import make_cells

from alljax.data.split import Split
from alljax.errors import UserError
from alljax.runs import environment, results
from alljax.runs.results import TestOutput as Output
from alljax.storage import run_folder
from alljax.training import metrics_log
from alljax.training.metrics_log import MetricsLog

OLD = Path(__file__).parents[1] / 'older_release'
CELLS = make_cells([0, 1, 2, 0, 1, 2])


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A run folder with the results that this release writes."""
    folder = tmp_path_factory.mktemp('run')
    logits = np.random.default_rng(0).normal(size=(6, 3))
    split = Split(np.arange(0), np.arange(0), np.arange(6), 'random')
    whole = {
        'data': results.about_data(CELLS),
        'split': results.about_split(CELLS, split),
        'test': results.score(CELLS, logits),
        'model': {'name': 'alexnet'},
        'train': {},
        'demo': False,
        'alljax': '0',
        'command': environment.command(),
        'environment': environment.about(),
        'seed': 0,
    }
    results.write(folder, whole, CELLS, Output({}, logits, {}), [])
    with run_folder.opened(folder / 'claimed', {'seed': 0, 'epochs': 3}):
        pass
    return folder


READERS = {
    'results.json': results.read,
    'predictions.csv': results.predictions,
    'claimed/config.json': lambda folder: run_folder.earlier(folder / 'claimed'),
}


def said(read, folder, whole):
    """The error of reading; '' if it reads what was written."""
    try:
        assert read(folder) == whole
    except UserError as error:
        return str(error)
    return ''


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('name', READERS)
def test_a_damaged_file_is_told_with_what_to_delete(finished, name, kind):
    read = READERS[name]
    whole = read(finished)
    for seed in range(5):
        with damaged(finished / name, kind, Random(seed)):
            if (name, kind) == ('claimed/config.json', 'missing'):
                assert read(finished) == {}
                continue
            if (name, kind) == ('claimed/config.json', 'bit'):
                continue  # a value that differs is told as another config
            told = said(read, finished, whole)
            if kind == 'cut' and not told:
                continue  # of the last line its end only
            assert told.startswith(f'{finished / name}: '), told
            assert 'delete' in told
            assert 'again' in told
            assert 'free space' not in told


@pytest.mark.parametrize('name', ['results.json', 'predictions.csv', 'config.json'])
@pytest.mark.parametrize('kind', ['empty', 'cut', 'junk', 'other type', 'folder'])
def test_those_of_earlier_releases_have_no_checksum_and_end_in_a_sentence_too(tmp_path, name, kind):
    for file in ('results.json', 'predictions.csv', 'config.json'):
        shutil.copy(OLD / 'run' / file, tmp_path / file)
    read = {**READERS, 'config.json': run_folder.earlier}[name]
    assert read(tmp_path)
    damage(tmp_path / name, kind, Random(3))
    with pytest.raises(UserError, match=rf'{name}: .*delete .*again'):
        read(tmp_path)


def test_a_changed_config_is_told_as_another(finished):
    path = finished / 'claimed' / 'config.json'
    with damaged(path, 'empty', Random(0)):
        path.write_text(json.dumps({'seed': 0, 'epochs': 7}))
        with (
            pytest.raises(UserError, match='holds a run of another config'),
            run_folder.opened(finished / 'claimed', {'seed': 0, 'epochs': 3}),
        ):
            pass


def test_a_folder_in_the_place_of_config_json_is_no_new_run(tmp_path):
    (tmp_path / 'config.json').mkdir()
    with (
        pytest.raises(UserError, match=r'config.json: cannot be read \(Is a directory\)'),
        run_folder.opened(tmp_path, {'seed': 0}),
    ):
        pass


def test_what_killed_processes_left_in_a_run_folder_is_deleted_at_the_next_start(tmp_path):
    (tmp_path / '.report.html.999999999-ab12.part').write_text('half')
    (tmp_path / '.model.999999999.part').mkdir()
    with run_folder.opened(tmp_path, {'seed': 0}):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {'.lock', 'config.json', 'run.log'}


ROWS = [{'step': step, 'loss': 1 / step, 'accuracy': 0.5} for step in range(1, 30)]


def logged(folder):
    log = MetricsLog(folder, 0)
    for row in ROWS:
        log.write(row)
    log.close()
    return folder / 'metrics.jsonl'


@pytest.mark.parametrize('kind', ['empty', 'cut', 'bytes', 'junk', 'other type'])
def test_damaged_lines_of_the_metrics_are_left_out_with_a_note_and_kept_aside(tmp_path, caplog, kind):
    path = logged(tmp_path)
    damage(path, kind, Random(1))
    content = path.read_bytes()
    found = metrics_log.read(path)
    assert all(type(row['step']) is int for row in found)
    told = 'cannot be read in line' in caplog.text
    assert told == (kind in ('bytes', 'junk'))
    MetricsLog(tmp_path, 29).close()
    assert metrics_log.read(path) == [row for row in found if row['step'] <= 29]
    aside = tmp_path / 'metrics.jsonl.damaged'
    assert aside.exists() == told
    assert not told or aside.read_bytes() == content


@pytest.mark.parametrize(
    'line',
    ['[1, 2]', '{"loss": 1.0}', '{"step": "3"}', '{"step": 3, "loss": "x"}', '{"step": 3, "loss": NaN}', '3', ''],
)
def test_one_damaged_line_costs_no_other(tmp_path, caplog, line):
    path = logged(tmp_path)
    lines = path.read_text().splitlines()
    lines[4] = line
    path.write_text('\n'.join(lines) + '\n')
    assert metrics_log.read(path) == ROWS[:4] + ROWS[5:]
    assert 'metrics.jsonl: cannot be read in line 5; the curves leave these out' in caplog.text


def test_a_folder_in_the_place_of_the_metrics_is_told(tmp_path):
    damage(logged(tmp_path), 'folder', Random(0))
    with pytest.raises(UserError, match=r'metrics.jsonl: is a folder, expected a file; delete it and give the same'):
        MetricsLog(tmp_path, 0)
    assert files(tmp_path)
