"""Sweeps as a user starts them, on a network of a twentieth of the width."""

import fcntl
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MINE = textwrap.dedent("""
    from alljax.sweep import Variant, Sweep
    from configs import subtype

    def get_config():
        config = subtype.get_config()
        config.model.width, config.model.head, config.model.init = 0.05, 8, 'random'
        config.epochs, config.data.cells, config.data.size, config.model.size = 3, 60, 64, 64
        config.augment.copies = 'published'
        return config

    def sweep(config):
        wild = {'optimizer.name': 'sgd', 'optimizer.clip': 0.0, 'optimizer.rate': 99.0}
        cells = [Variant('good', {}), Variant('bad', wild, against='good')]
        return Sweep('Two cells', cells, ('grouped',))
""")
GIVEN = ('--config.epochs=3', '--config.data.cells=60')


def launch(config, *arguments):
    return subprocess.run(
        [sys.executable, 'launch.py', f'--config={config}', *map(str, arguments)],
        cwd=ROOT, env=dict(os.environ), capture_output=True, text=True,
    )  # fmt: skip


@pytest.fixture(scope='module')
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sweep')
    (folder / 'mine.py').write_text(MINE)
    return folder, launch(folder / 'mine.py', f'--workdir={folder / "out"}', *GIVEN)


@pytest.mark.slow
def test_a_failed_cell_is_reported_and_the_rest_goes_on(done):
    folder, result = done
    assert result.returncode == 1, result.stderr
    assert 'Traceback' not in result.stderr
    assert 'bad, grouped failed: the loss is no longer a finite number' in result.stderr
    assert 'good, grouped: accuracy' in result.stderr
    assert (folder / 'out' / 'good' / 'grouped' / 'results.json').is_file()
    names = {path.name for path in (folder / 'out').iterdir()}
    assert names >= {'table.md', 'table.csv', 'table.html', 'table.png', 'config.json', 'run.log'}
    text = (folder / 'out' / 'table.md').read_text()
    assert 'failed: the loss is no longer' in text
    assert 'Synthetic cells' in text


@pytest.mark.slow
def test_finished_cells_are_kept_and_the_others_done_again(done):
    folder, _ = done
    before = (folder / 'out' / 'good' / 'grouped' / 'results.json').read_bytes()
    (folder / 'mine.py').write_text(MINE.replace('99.0', '1e-4'))
    result = launch(folder / 'mine.py', f'--workdir={folder / "out"}', *GIVEN)
    assert result.returncode == 2  # the folder of the failed run is that of another config
    assert 'bad/grouped: holds a run of another config (optimizer.rate: 99.0 there, 0.0001 now)' in result.stderr
    (folder / 'mine.py').write_text(MINE.replace("'bad'", "'slow'").replace('99.0', '1e-4'))
    result = launch(folder / 'mine.py', f'--workdir={folder / "out"}', '--jobs=2', *GIVEN)
    assert result.returncode == 0, result.stderr
    assert '1 runs are finished and kept' in result.stderr
    assert (folder / 'out' / 'good' / 'grouped' / 'results.json').read_bytes() == before
    assert 'noise' in (folder / 'out' / 'table.md').read_text()


@pytest.mark.slow
def test_a_dry_run_shows_the_plan_and_does_nothing(done, tmp_path):
    folder, _ = done
    (folder / 'dry.py').write_text(MINE)
    result = launch(folder / 'dry.py', '--dry_run', f'--workdir={tmp_path / "none"}', *GIVEN)
    assert result.returncode == 0, result.stderr
    assert 'good, grouped' in result.stdout
    assert 'steps' in result.stdout
    assert '2 runs, about' in result.stdout
    assert not (tmp_path / 'none').exists()


@pytest.mark.slow
def test_what_would_stop_a_run_is_told_before_the_first(tmp_path):
    (tmp_path / 'mine.py').write_text(MINE.replace("'optimizer.rate': 99.0", "'split.test': 0.99, 'data.color': 'red'"))
    result = launch(tmp_path / 'mine.py', f'--workdir={tmp_path / "out"}', *GIVEN)
    assert result.returncode == 2
    assert "config.data.color is 'red'" in result.stderr
    assert 'config.split.test is 0.99' in result.stderr
    assert list((tmp_path / 'out').iterdir()) == []  # so that the corrected command may use it


@pytest.mark.slow
def test_a_cross_validation_tests_every_cell_once_and_has_its_table(tmp_path):
    result = launch(
        'configs/subtype.py', f'--workdir={tmp_path / "out"}', *GIVEN, '--config.data.size=64',
        '--config.model.size=64', '--config.model.width=0.05', '--config.model.head=8', '--config.split.folds=2',
        '--config.split.repeats=2',
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    places = sorted((tmp_path / 'out' / 'subtype').iterdir())
    assert len(places) == 4
    found = [json.loads((place / 'results.json').read_text()) for place in places]
    assert sum(one['test']['n'] for one in found) == 2 * 60
    assert [(one['split']['folds'], one['split']['fold']) for one in found] == [(2, 0), (2, 1)] * 2
    assert 'the number to quote is that of all of them together' in (places[0] / 'run.log').read_text()
    assert 'all 4 folds together' in (tmp_path / 'out' / 'table.md').read_text()


@pytest.mark.slow
def test_a_killed_sweep_takes_its_runs_along(tmp_path):
    (tmp_path / 'mine.py').write_text(MINE.replace('config.epochs, ', '').replace(' = 3, 60, 64, 64', ' = 60, 64, 64'))
    command = [
        sys.executable, 'launch.py', f'--config={tmp_path / "mine.py"}', f'--workdir={tmp_path / "out"}',
        '--config.epochs=400', '--config.data.cells=60',
    ]  # fmt: skip
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    rows = tmp_path / 'out' / 'good' / 'grouped' / 'metrics.jsonl'
    until(lambda: rows.is_file() and rows.stat().st_size > 0)
    process.kill()
    process.wait()
    lock = (tmp_path / 'out' / 'good' / 'grouped' / '.lock').open('w')
    until(lambda: free(lock))


def until(true, seconds=120):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, 'waited for too long'
        time.sleep(0.2)


def free(lock):
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
