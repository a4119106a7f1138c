"""Kills, flipped bits, a full disk and two starts at once: no wrong number without a word, and no traceback.

Each attack prints what was tried, and how often the run resumed (its numbers are those of an undisturbed run), the user
was told, a number was wrong in silence, or a traceback was shown. `ALLJAX_ATTACKS=10 python -m pytest -n 0 -s -m slow
tests/attacks` is the long form.
"""

import os
import re
import subprocess
import time
from pathlib import Path
from random import Random

import pytest
from attacks.attack import FROZEN, ROUNDS, Tally, each_flip, here, numbers, same_numbers, start, train_here

from alljax.models import MODELS

pytestmark = pytest.mark.slow
FEW = 6  # files with a flipped bit in the short form


@pytest.fixture(scope='module', autouse=True)
def forget():
    """Takes the network of tiny.py, which commands run here, out of the dictionary again."""
    before = dict(MODELS)
    yield
    MODELS.clear()
    MODELS.update(before)


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run that nobody disturbs."""
    folder = tmp_path_factory.mktemp('whole') / 'run'
    code, said = start(folder).outcome()
    assert code == 0, said
    return folder


@pytest.fixture(scope='module')
def unfinished(tmp_path_factory):
    """A run that was killed between its first and its last step."""
    folder = tmp_path_factory.mktemp('unfinished') / 'run'
    process = start(folder)
    rows = folder / 'metrics.jsonl'
    while not process.ended() and not (rows.is_file() and rows.read_text().count('"loss"') >= 5):
        time.sleep(0.005)
    process.kill()
    assert not (folder / 'results.json').exists()
    return folder


def chosen(files):
    """A few files, each of another kind, which is its name without digits; all files in the long form."""
    kinds = {re.sub('[0-9a-f]{8,}|[0-9]', '', str(file)): file for file in files}
    return files if ROUNDS > 1 else Random(0).sample([*kinds.values()], min(FEW, len(kinds)))


def test_flips_in_a_finished_run(whole, tmp_path, capsys):
    tally, rng = Tally('a bit flipped in files of a finished run'), Random(1)
    image = next(Path(os.environ['ALLJAX_CACHE']).rglob('Im001_1.tif'))
    table = tmp_path / 'rows.csv'
    config = ('--config', Path(__file__).with_name('tiny.py'))
    assert here(capsys, 'predict', whole, image, '--csv', table, *config)[0] == 0
    right = table.read_text()
    for what, run in each_flip(whole, rng, tmp_path / 'copy', chosen):
        table.unlink(missing_ok=True)
        outcome = here(capsys, 'predict', run, image, '--csv', table, *config)
        tally.note(f'predict, {what}', outcome, table.is_file() and table.read_text() == right)
        tally.note(f'train, {what}', train_here(capsys, run), same_numbers(run, numbers(whole)))
    tally.check()


def test_flips_in_an_unfinished_run(whole, unfinished, tmp_path, capsys):
    tally, rng = Tally('a bit flipped in files of an unfinished run'), Random(2)
    for what, run in each_flip(unfinished, rng, tmp_path / 'copy', chosen):
        tally.note(what, train_here(capsys, run), same_numbers(run, numbers(whole)))
    tally.check()


def test_flips_in_the_caches(tmp_path, capsys, monkeypatch):
    tally, rng, cache = Tally('a bit flipped in files of each cache'), Random(3), tmp_path / 'cache'
    monkeypatch.setenv('ALLJAX_CACHE', str(cache))
    first = tmp_path / 'first'
    code, said = start(first, FROZEN).outcome()
    assert code == 0, said
    assert {'synthetic', 'cells', 'features'} <= {path.name for path in cache.iterdir()}
    for what, copy in each_flip(cache, rng, tmp_path / 'copy', chosen):
        monkeypatch.setenv('ALLJAX_CACHE', str(copy))
        run = tmp_path / f'run{sum(tally.found.values())}'
        tally.note(what, train_here(capsys, run, FROZEN), same_numbers(run, numbers(first)))
    tally.check()


def test_a_full_disk(whole, tmp_path, capsys, monkeypatch):
    """A file may grow to a random size and no further, as on a disk that fills up, at a random moment of the run."""
    tally, rng = Tally('a full disk'), Random(4)
    for number in range(2 * ROUNDS):
        run, most = tmp_path / f'run{number}', int(10 ** rng.uniform(2.5, 5.5))
        monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / f'cache{number // 2}'))  # every second time it is filled
        outcome = start(run, file_size=most).outcome()
        tally.note(f'files up to {most} bytes', outcome, same_numbers(run, numbers(whole)))
        outcome = train_here(capsys, run)
        tally.note(f'with space again after {most} bytes', outcome, same_numbers(run, numbers(whole)))
        assert outcome[0] == 0, outcome[1]
    tally.check()


def test_a_full_file_system(whole, tmp_path, capsys):
    tally, rng, disk = Tally('a full file system'), Random(5), tmp_path / 'disk'
    disk.mkdir()
    for number in range(ROUNDS):
        size = int(10 ** rng.uniform(4.5, 6))
        mount = ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(disk)]
        if os.geteuid() or subprocess.run(mount, capture_output=True).returncode:
            pytest.skip('mounting a small file system needs root')
        try:
            outcome = start(disk / 'run').outcome()
            tally.note(f'{size} bytes', outcome, same_numbers(disk / 'run', numbers(whole)))
            subprocess.run(['mount', '-o', 'remount,size=100m', str(disk)], check=True)
            outcome = train_here(capsys, disk / 'run')
            tally.note(f'with space again after {size} bytes', outcome, same_numbers(disk / 'run', numbers(whole)))
            assert outcome[0] == 0, f'{number}: {outcome[1]}'
        finally:
            subprocess.run(['umount', str(disk)], check=True)
    tally.check()


def test_two_starts_at_once(whole, tmp_path, monkeypatch):
    tally = Tally('two starts at once')
    for number in range(ROUNDS):
        monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / f'cache{number}'))
        runs = [tmp_path / f'{name}{number}' for name in ('first', 'second')]
        for run, process in [(run, start(run, FROZEN)) for run in runs]:
            code, said = process.outcome()
            tally.note(f'an empty cache, {run.name}', (code, said), same_numbers(run, numbers(runs[0])))
            assert code == 0, said
        run = tmp_path / f'same{number}'
        outcomes = [process.outcome() for process in [start(run), start(run)]]
        assert sorted(code for code, _ in outcomes) in ([0, 0], [0, 2])  # the second may come when the first has ended
        for outcome in outcomes:
            tally.note('one folder', outcome, same_numbers(run, numbers(whole)))
    tally.check()
