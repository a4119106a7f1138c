"""Sweeps as a user starts them, on a network of a twentieth of the width."""

import fcntl
import json
import textwrap
import time

import forked
import pytest
from forked import Started, here

from alljax.sweep import execution

MINE = textwrap.dedent("""
    from alljax.storage import cache
    from alljax.sweep import Variant, Sweep
    from configs import subtype

    cache.WORTH_KEEPING = 0  # each program is compiled by one of the processes

    def get_config():
        config = subtype.get_config()
        config.model.width, config.model.head, config.model.init = 0.05, 8, 'random'
        config.epochs, config.data.cells, config.data.size, config.model.size = 3, 60, 64, 64
        config.augment.copies, config.report.heat_maps = 'published', False
        return config

    def sweep(config):
        wild = {'optimizer.name': 'sgd', 'optimizer.clip': 0.0, 'optimizer.rate': 99.0}
        cells = [Variant('good', {}), Variant('bad', wild, against='good')]
        return Sweep('Two cells', cells, ('grouped',))
""")
GIVEN = ('--config.epochs=3', '--config.data.cells=60')


@pytest.fixture(autouse=True)
def _forked(monkeypatch):
    """The processes of sweeps that are launched here import nothing."""
    monkeypatch.setattr(execution, 'get_context', forked.context)


def launch(config, *arguments):
    """The exit code and the words of a sweep."""
    return here('train', f'--config={config}', *arguments)


@pytest.fixture(scope='module')
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp('sweep')
    (folder / 'mine.py').write_text(MINE)
    started = Started('train', f'--config={folder / "mine.py"}', f'--workdir={folder / "out"}', *GIVEN)
    return folder, *started.outcome()  # with what the processes of its runs say


@pytest.mark.slow
def test_a_failed_cell_is_reported_and_the_rest_goes_on(done):
    folder, code, said = done
    assert code == 1, said
    assert 'Traceback' not in said
    assert 'bad, grouped failed: the loss is no longer a finite number' in said
    assert 'good, grouped: accuracy' in said
    assert (folder / 'out' / 'good' / 'grouped' / 'results.json').is_file()
    names = {path.name for path in (folder / 'out').iterdir()}
    assert names >= {'table.md', 'table.csv', 'table.html', 'table.png', 'config.json', 'run.log'}
    text = (folder / 'out' / 'table.md').read_text()
    assert 'failed: the loss is no longer' in text
    assert 'Synthetic cells' in text


@pytest.mark.slow
def test_finished_cells_are_kept_and_the_others_done_again(done):
    folder, *_ = done
    before = (folder / 'out' / 'good' / 'grouped' / 'results.json').read_bytes()
    (folder / 'mine.py').write_text(MINE.replace('99.0', '1e-4'))
    code, said = launch(folder / 'mine.py', f'--workdir={folder / "out"}', *GIVEN)
    assert code == 2  # the folder of the failed run is that of another config
    assert 'bad/grouped: holds a run of another config (optimizer.rate: 99.0 there, 0.0001 now)' in said
    (folder / 'mine.py').write_text(MINE.replace("'bad'", "'slow'").replace('99.0', '1e-4'))
    code, said = launch(folder / 'mine.py', f'--workdir={folder / "out"}', '--jobs=2', *GIVEN)
    assert code == 0, said
    assert '1 runs are finished and kept' in said
    assert (folder / 'out' / 'good' / 'grouped' / 'results.json').read_bytes() == before
    assert 'noise' in (folder / 'out' / 'table.md').read_text()


@pytest.mark.slow
def test_a_dry_run_shows_the_plan_and_does_nothing(done, tmp_path):
    folder, *_ = done
    (folder / 'dry.py').write_text(MINE)
    code, said = launch(folder / 'dry.py', '--dry_run', f'--workdir={tmp_path / "none"}', *GIVEN)
    assert code == 0, said
    assert 'good, grouped' in said
    assert 'steps' in said
    assert '2 runs, about' in said
    assert not (tmp_path / 'none').exists()


@pytest.mark.slow
def test_what_would_stop_a_run_is_told_before_the_first(tmp_path):
    (tmp_path / 'mine.py').write_text(MINE.replace("'optimizer.rate': 99.0", "'split.test': 0.99, 'data.color': 'red'"))
    code, said = launch(tmp_path / 'mine.py', f'--workdir={tmp_path / "out"}', *GIVEN)
    assert code == 2
    assert "config.data.color is 'red'" in said
    assert 'config.split.test is 0.99' in said
    assert list((tmp_path / 'out').iterdir()) == []  # so that the corrected command may use it


@pytest.mark.slow
def test_a_cross_validation_tests_every_cell_once_and_has_its_table(tmp_path):
    code, said = launch(
        'configs/subtype.py', f'--workdir={tmp_path / "out"}', *GIVEN[1:], '--config.epochs=1', '--config.data.size=64',
        '--config.model.size=64', '--config.model.width=0.05', '--config.model.head=8', '--config.split.folds=2',
        '--config.split.repeats=2', '--config.report.heat_maps=False',
    )  # fmt: skip
    assert code == 0, said
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
    given = f'--config={tmp_path / "mine.py"}', f'--workdir={tmp_path / "out"}'
    process = Started('train', *given, '--config.epochs=400', '--config.data.cells=60')
    rows = tmp_path / 'out' / 'good' / 'grouped' / 'metrics.jsonl'
    until(lambda: rows.is_file() and rows.stat().st_size > 0)
    process.kill()
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
