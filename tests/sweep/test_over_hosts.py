"""One run by two processes of this machine: as one process has it, also after one of them was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import free_port

from alljax import commands
from alljax.models.trees import flatten
from alljax.storage import checkpoints, model_folder

ROOT = Path(__file__).parents[2]
TINY = (
    '--config=tests/attacks/tiny.py', '--config.data.cells=80', '--config.epochs=2', '--config.batch_size=8',
)  # fmt: skip
STEPS = 9  # an epoch


@pytest.fixture
def told(monkeypatch, capsys):
    """What a refused command says."""
    monkeypatch.chdir(ROOT)

    def said(*arguments, config='subtype'):
        with pytest.raises(SystemExit) as end:
            commands.run('train', [f'--config=configs/{config}.py', *arguments])
        assert end.value.code == 2
        return capsys.readouterr().err

    return said


def test_what_several_processes_cannot_do_is_refused_before_they_meet(told, tmp_path):
    team = ('--coordinator=127.0.0.1:9', '--processes=2', '--process=1', '--join_seconds=1')
    said = told(*team, '--config.split.folds=5', '--config.gradients.every=5', '--config.baseline.system=putzu2014',
                "--config.ensemble.candidates=(('a', {}), ('b', {}))", '--together')  # fmt: skip
    for expected in (
        'config.split asks for several runs', 'config.gradients.every=5: several processes', 'an ensemble',
        'putzu2014: several processes', '--together: is for one process', '--workdir is missing',
    ):  # fmt: skip
        assert expected in said
    place = f'--workdir={tmp_path / "run"}'
    assert 'this config makes several runs (Table 4' in told(*team, place, config='table4')
    assert 'a detector is trained by one' in told(*team, place, config='detect')
    assert '127.0.0.1:9: process 0 was not reached within 1 s' in told(*team, place)
    assert not (tmp_path / 'run').exists()


def start(workdir, *arguments):
    """Two processes that train together."""
    port = free_port()
    return [
        subprocess.Popen(
            [sys.executable, 'launch.py', *TINY, f'--workdir={workdir}', f'--coordinator=127.0.0.1:{port}',
             '--processes=2', f'--process={place}', *arguments],
            cwd=ROOT, text=True, env={**os.environ, 'JAX_PLATFORMS': 'cpu'}, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        for place in (0, 1)
    ]  # fmt: skip


def ended(run):
    """The exit codes, and what was said."""
    said = [process.communicate()[1] for process in run]
    return [process.returncode for process in run], said


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    """A run of two processes that nobody disturbed."""
    folder = tmp_path_factory.mktemp('hosts') / 'whole'
    codes, said = ended(start(folder))
    assert codes == [0, 0], said
    return folder, said


def losses(folder):
    rows = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    return [row.get('loss', row.get('validation_loss')) for row in rows]


@pytest.mark.slow
def test_the_first_process_alone_writes_and_each_its_part_of_a_checkpoint(whole):
    folder, said = whole
    results = json.loads((folder / 'results.json').read_text())
    assert (results['train']['devices'], results['train']['processes']) == (2, 2)
    assert 'epoch 2 of 2' in said[0]
    assert 'process 1 of 2' in said[1]
    assert 'epoch' not in said[1]
    assert len([*(folder / 'tensorboard').iterdir()]) == 1
    written = {path.parent.parent.name for path in folder.glob('checkpoints/*/tree/ocdbt.process_*/d/*')}
    assert written == {'ocdbt.process_0', 'ocdbt.process_1'}
    assert len(losses(folder)) == 2 * STEPS + 2


@pytest.mark.slow
def test_a_killed_process_ends_the_other_and_both_go_on_to_the_same_parameters(whole, tmp_path):
    """The first attempt holds the cells in memory, the second reads them from the disk: that changes nothing."""
    folder = tmp_path / 'killed'
    each_step = '--config.checkpoint.seconds=0'
    run, rows = start(folder, each_step), folder / 'metrics.jsonl'
    while run[1].poll() is None and (not rows.exists() or rows.read_text().count('"loss"') < STEPS + 4):
        time.sleep(0.02)
    os.kill(run[1].pid, signal.SIGKILL)
    codes, said = ended(run)
    assert codes == [2, -signal.SIGKILL], said
    assert 'which goes on from the last save' in said[0]
    codes, said = ended(start(folder, each_step, '--config.data.device_cache_mb=0'))
    assert codes == [0, 0], said
    results = json.loads((folder / 'results.json').read_text())
    assert STEPS < results['train']['resumed_after_step'] < 2 * STEPS
    for read in (lambda place: checkpoints.Checkpoints(place / 'checkpoints').latest()[0],
                 lambda place: model_folder.read_variables(place / 'model')):  # fmt: skip
        expected, found = (flatten(read(place)) for place in (whole[0], folder))
        assert {name: np.asarray(leaf).tobytes() for name, leaf in expected.items()} == {
            name: np.asarray(leaf).tobytes() for name, leaf in found.items()
        }
    assert losses(folder) == losses(whole[0])
    assert (folder / 'predictions.csv').read_text() == (whole[0] / 'predictions.csv').read_text()
