"""A sweep through submitit: on a real Slurm where one can be started, and as processes of this machine."""

import json
import os
import shutil
import subprocess
import textwrap
import time
from unittest import mock

import forked
import numpy as np
import pytest
import slurm_cluster
from helpers import needs_submitit

from alljax.models.trees import flatten
from alljax.storage import model_folder
from alljax.sweep import execution

pytestmark = [pytest.mark.slow, needs_submitit]

SWEEP = textwrap.dedent("""
    from alljax.storage import cache
    from alljax.sweep import Variant, Sweep
    from configs import subtype

    cache.WORTH_KEEPING = 0  # each program is compiled by one of the processes

    def get_config():
        config = subtype.get_config()
        config.model.width, config.model.head, config.model.init = 0.05, 8, 'random'
        config.epochs, config.data.cells, config.data.size, config.model.size = 2, 60, 64, 64
        config.augment.copies, config.report.heat_maps, config.checkpoint.seconds = 'published', False, 0.0
        return config

    def sweep(config):
        wild = {'optimizer.name': 'sgd', 'optimizer.clip': 0.0, 'optimizer.rate': 99.0}
        cells = [Variant('long', {'epochs': 20}), Variant('short', {}), Variant('bad', wild)]
        return Sweep('Three runs', cells, ('grouped',))
""")
GOOD = ('long', 'short')


def launch(folder, *arguments, environment=None):
    """The exit code and the words of the sweep's command; its jobs are processes that import all of the package."""
    config = folder.parent / 'mine.py'
    config.write_text(SWEEP)
    given = f'--config={config}', f'--workdir={folder}', '--config.data.cells=60', *arguments
    with mock.patch.dict(os.environ, environment or {}):
        return forked.here('train', *given)


@pytest.fixture(scope='module')
def in_process(tmp_path_factory):
    folder = tmp_path_factory.mktemp('process') / 'out'
    with mock.patch.object(execution, 'get_context', forked.context):
        code, said = launch(folder)
    assert code == 1, said
    return folder


@pytest.fixture(scope='module')
def slurm():
    if why := slurm_cluster.missing():
        pytest.skip(why)
    with slurm_cluster.running() as environment:
        yield environment


def until(true, seconds=600):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, 'waited for too long'
        time.sleep(0.3)


def assert_same(folder, other):
    assert (folder / 'table.md').read_text().splitlines()[:-1] == (other / 'table.md').read_text().splitlines()[:-1]
    for name in GOOD:
        here, there = (json.loads((place / name / 'grouped' / 'results.json').read_text()) for place in (folder, other))
        assert here['test'] == there['test']
        ours, theirs = (
            flatten(model_folder.read_variables(place / name / 'grouped' / 'model')) for place in (folder, other)
        )
        assert ours.keys() == theirs.keys()
        for leaf, array in ours.items():
            np.testing.assert_array_equal(array, theirs[leaf])


def test_jobs_of_slurm_are_as_a_sweep_in_one_process_though_one_was_requeued(slurm, in_process, tmp_path):
    folder = tmp_path / 'out'
    given = ('--executor=slurm', '--slurm.time=30:00', '--slurm.partition=main', '--slurm.cpus-per-task=1', '--jobs=2')
    code, said = launch(folder, *given, environment=slurm)
    assert code == 0, said
    assert '3 runs: 0 finished, 0 failed, 0 running, 3 waiting' in said
    long = folder / 'long' / 'grouped'
    until(lambda: (long / 'metrics.jsonl').exists() and len((long / 'metrics.jsonl').read_text().splitlines()) > 6)
    job = json.loads((folder / 'submitit' / 'jobs.json').read_text())['long/grouped']['job']
    subprocess.run(['scontrol', 'requeue', job], env=slurm, check=True)
    before = (folder / 'submitit' / 'jobs.json').read_bytes()
    code, said = launch(folder, *given, environment=slurm)  # while they wait and run
    assert 'submitted' not in said
    assert (folder / 'submitit' / 'jobs.json').read_bytes() == before
    until(lambda: slurm_cluster.answer(['squeue', '--noheader', '--states=PENDING', f'--jobs={job}'], slurm))
    subprocess.run(['scontrol', 'update', f'JobId={job}', 'StartTime=now'], env=slurm, check=True)  # not in two minutes
    until(lambda: not slurm_cluster.answer(['squeue', '--noheader'], slurm))
    code, said = launch(folder, *given, environment=slurm)
    assert code == 1
    assert '3 runs: 2 finished, 1 failed, 0 running, 0 waiting' in said
    log = next((folder / 'submitit').glob('*_2_0_log.out'))
    assert 'bad, grouped failed: the loss is no longer a finite number' in said
    assert f'the end of its log, {log}:' in said
    assert (folder / 'submitit' / 'jobs.json').read_bytes() == before
    assert json.loads((long / 'results.json').read_text())['train']['resumed_after_step'] > 0
    assert_same(folder, in_process)


def test_what_sbatch_refuses_is_a_sentence_and_nothing_is_noted_as_submitted(slurm, tmp_path):
    folder = tmp_path / 'out'
    code, said = launch(folder, '--executor=slurm', '--slurm.time=30:00', '--slurm.partition=absent', environment=slurm)
    assert code == 2
    assert 'sbatch refuses the jobs: ' in said
    assert 'invalid partition specified: absent' in said
    assert 'Traceback' not in said
    assert not (folder / 'submitit' / 'jobs.json').exists()


def test_processes_of_this_machine_are_as_a_sweep_in_one_process(in_process, tmp_path):
    folder = tmp_path / 'out'
    code, said = launch(folder, '--executor=local', '--jobs=2')
    assert code == 1, said
    assert '3 runs: 2 finished, 1 failed, 0 running, 0 waiting' in said
    assert 'bad, grouped failed: the loss is no longer a finite number' in said
    assert_same(folder, in_process)
    shutil.rmtree(folder / 'short')  # to have it done again
    (folder / 'bad' / 'grouped' / 'run.log').unlink()
    before = json.loads((folder / 'submitit' / 'jobs.json').read_text())
    code, said = launch(folder, '--executor=local', '--resubmit', '--jobs=2')
    after = json.loads((folder / 'submitit' / 'jobs.json').read_text())
    assert {name for name in before if before[name] != after[name]} == {'bad/grouped', 'short/grouped'}
    assert '3 runs: 2 finished, 1 failed, 0 running, 0 waiting' in said
    assert (folder / 'bad' / 'grouped' / 'run.log').exists()
