"""Kills, Ctrl-C, damaged files and two starts at once in the folder of a cross-validation with its final model.

As in test_attacks.py: no wrong number without a word, and no traceback. What is compared is what the page and the table
of predictions say, and the arrays of the final model, which are those of an undisturbed run to the last bit.
"""

import json
import re
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from attacks.attack import ROUNDS, Tally, here, numbers
from damage import damage
from forked import Started

from alljax import commands
from alljax.data.synthetic import folder as drawn
from alljax.models import MODELS
from alljax.sweep import execution

pytestmark = pytest.mark.slow
CONFIG = Path(__file__).with_name('tiny_folds.py')
FIELDS = (  # a random start would set its own
    '--config.epochs=4', '--config.augment.light=0', '--config.optimizer.rate=0.05', '--config.optimizer.warmup=0',
)  # fmt: skip
POOLED = ('predictions.csv', 'results.json', 'report.html', 'MODEL_CARD.md', 'config.json', 'pooled.json')
FINAL = ('final/model/facts.json', 'final/model/checksums.json', 'final/model/tree/manifest.ocdbt')
REST = ('final/results.json', 'final/config.json', 'folds/config.json', 'folds/results.json', 'folds/predictions.csv')
WAYS = ('bit', 'cut', 'missing', 'folder')  # of damage
START = 8  # seconds in which a process starts
FEW = (('report.html', 'folder'), (FINAL[2], 'bit'), ('folds/config.json', 'missing'))


@pytest.fixture(scope='module', autouse=True)
def in_this_process():
    """Does the runs of commands here in threads, and takes the network of tiny.py out of the dictionary again."""
    before = dict(MODELS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, '_pool', lambda jobs, heard: execution.Pool(ThreadPoolExecutor(1)))
        yield
    MODELS.clear()
    MODELS.update(before)


@pytest.fixture(scope='module')
def cells(tmp_path_factory):
    """Drawn cells in folders of their classes, on slides."""
    root = tmp_path_factory.mktemp('cells')
    drawn.write(root / 'drawn', cells=40)
    lines = ['file,group']
    for number, picture in enumerate(sorted((root / 'drawn').rglob('*.tif'))):
        name = ('healthy', 'blast')[int(picture.stem[-1])]
        (root / 'mine' / name).mkdir(parents=True, exist_ok=True)
        shutil.copy(picture, root / 'mine' / name)
        lines.append(f'{name}/{picture.name},slide {number % 4}')
    (root / 'mine/groups.csv').write_text('\n'.join(lines) + '\n')
    return root / 'mine'


def arguments(cells, folder):
    return f'--config={CONFIG}', f'--config.data.root={cells}', f'--workdir={folder}', *FIELDS


def again(capsys, cells, folder):
    """The command of the cross-validation, in this process."""
    return here(capsys, 'train', *arguments(cells, folder))


def start(cells, folder):
    """The same in a process, and a group of processes, of its own."""
    return Started('train', *arguments(cells, folder), group=True)


def found(folder):
    """The numbers of all folds, the calibration, and the arrays of the final model."""
    whole = json.loads((folder / 'results.json').read_text())
    model = json.loads((folder / 'final/model/checksums.json').read_text())
    card = json.loads((folder / 'final/model/facts.json').read_text())
    return numbers(folder), whole['calibration'], whole['cross_validation']['folds'], model['arrays'], card['scores']


def same(folder, right):
    """True if a folder holds what an undisturbed run holds, with its pages."""
    try:
        pages = [(folder / name).stat().st_size for name in ('report.html', 'MODEL_CARD.md', 'table.html')]
        return found(folder) == right and min(pages) > 0
    except (OSError, ValueError, KeyError):
        return False


@pytest.fixture(scope='module')
def timed(cells, tmp_path_factory):
    """A cross-validation that nobody disturbs, and the seconds that a process takes for it."""
    folder, began = tmp_path_factory.mktemp('whole') / 'run', time.monotonic()
    command = ['train', *arguments(cells, folder)]
    assert commands.run(command[0], command[1:]) == 0
    return folder, START + time.monotonic() - began


@pytest.fixture(scope='module')
def whole(timed):
    """The folder of that cross-validation."""
    return timed[0]


def test_stopped_at_any_moment_it_goes_on(cells, timed, tmp_path, capsys, monkeypatch):
    """Ctrl-C, which all its processes get, and a kill, which may leave its other processes alive for a moment."""
    (folder, seconds), tally, rng = timed, Tally('Ctrl-C and kills of a cross-validation'), Random(6)
    right = found(folder)
    for number in range(ROUNDS):
        monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / f'cache{number}'))  # the audit and the features are new too
        folder, told = tmp_path / f'run{number}', []
        for how in (signal.SIGINT, signal.SIGKILL) if ROUNDS > 1 else (signal.SIGKILL,):
            process, end = start(cells, folder), time.monotonic() + rng.uniform(0.1, 0.9) * seconds
            while not process.ended() and time.monotonic() < end:
                time.sleep(0.01)
            if not process.ended():
                process.send(how, group=bool(rng.randrange(2)) or how == signal.SIGINT)
            code, said = process.outcome()
            told.append(f'{how.name}: {code}, {sum(1 for _ in folder.rglob("results.json"))} results')
            if how == signal.SIGINT and code == 130:
                assert 'stopped by Ctrl-C' in said
                assert ROUNDS == 1 or 'Traceback' not in said, said  # once in thirty a process that starts shows one
        outcome = again(capsys, cells, folder)
        tally.note(f'{told}', outcome, same(folder, right), times=2)
        assert outcome[0] == 0, outcome[1]
    tally.check()


def damages():
    """A file of the folder and the way in which it is damaged: a few, and all in the long form."""
    return [(name, way) for name in (*POOLED, *FINAL, *REST) for way in WAYS] if ROUNDS > 1 else FEW


def test_a_damaged_file_is_told_or_made_anew(cells, whole, tmp_path, capsys):
    """The same command, and all that read the folder; where one names what to delete, the same command then works."""
    tally, rng, right = Tally('a damaged file of a cross-validation'), Random(3), found(whole)
    picture = next((cells / 'blast').iterdir())
    fold = next(path.parent.relative_to(whole) for path in whole.rglob('predictions.csv') if path.parent != whole)
    table, config = tmp_path / 'rows.csv', ('--config', CONFIG)
    assert here(capsys, 'predict', whole, picture, '--csv', table, *config)[0] == 0
    answer = table.read_text()
    for name, way in damages():
        copy, average = tmp_path / 'copy', tmp_path / 'average'
        readers = {
            'predict': (copy, picture, '--csv', table, *config),
            'ensemble': (copy, '--to', average, *config),
            'train': (f'--evaluate_on={cells}', f'--workdir={copy}', f'--config={CONFIG}'),
        }
        if ROUNDS > 1:
            readers['explain'] = (copy, picture, '--methods', 'saliency', '--to', tmp_path / 'maps', *config)
        file = Path(name.replace('folds', str(fold)))
        for command, given in readers.items():
            for old in (copy, average, tmp_path / 'maps'):
                shutil.rmtree(old, ignore_errors=True)
            table.unlink(missing_ok=True)
            shutil.copytree(whole, copy)
            damage(copy / file, way, rng)
            outcome = here(capsys, command, *given)
            good = {
                'predict': table.is_file() and table.read_text() == answer,
                'ensemble': ' of 2 runs' in outcome[1],
            }
            tally.note(f'{command}, {name} {way}', outcome, good.get(command, True))
        shutil.rmtree(copy)
        shutil.copytree(whole, copy)
        damage(copy / file, way, rng)
        outcome = again(capsys, cells, copy)
        tally.note(f'the same command, {name} {way}', outcome, same(copy, right))
        for _ in range(3):  # remedies
            if outcome[0] == 0:
                break
            follow(outcome[1], copy)
            outcome = again(capsys, cells, copy)
        if 'of another config' not in outcome[1]:  # whose remedy is a folder of its own
            assert outcome[0] == 0, f'{name} {way}: {outcome[1]}'
            assert same(copy, right), f'{name} {way}: {outcome[1]}'
    tally.check()


def follow(said, folder):
    """Does what a message asks for: deletes, or moves away, what it names."""
    (place,) = re.findall(rf'(?:delete|move) ({re.escape(str(folder))}\S*|it\b)', said)[:1]
    path = (
        Path(place.rstrip(',:;'))
        if place != 'it'
        else Path(re.findall(rf'{re.escape(str(folder))}\S*?(?=: )', said)[0])
    )
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if ' and results.json and ' in said:
        (path.parent / 'results.json').unlink()


def test_two_starts_at_once(cells, whole, tmp_path, monkeypatch):
    tally, right = Tally('two cross-validations at once'), found(whole)
    if ROUNDS == 1:
        pytest.skip('four whole runs are of the long form')
    monkeypatch.setenv('ALLJAX_CACHE', str(tmp_path / 'cache'))
    for folder, process in [(folder, start(cells, folder)) for folder in (tmp_path / 'first', tmp_path / 'second')]:
        outcome = process.outcome()
        tally.note('an empty cache', outcome, same(folder, right))
        assert outcome[0] == 0, outcome[1]
    folder = tmp_path / 'same'
    outcomes = [process.outcome() for process in [start(cells, folder), start(cells, folder)]]
    assert sorted(code for code, _ in outcomes) in ([0, 0], [0, 2])
    for outcome in outcomes:
        tally.note('one folder', outcome, same(folder, right))
    tally.check()
