"""Jobs of a sweep: their options, their states and what is said of them; real ones are in test_cluster.py."""

import importlib.util
import json
import os
import pickle
import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers import needs_submitit, plan_of

from alljax.errors import UserError
from alljax.sweep import cluster, jobs
from alljax.sweep.cluster import Cluster
from alljax.sweep.variants import Run, Variant
from configs import subtype

PLAN = plan_of(subtype.get_config())
RUNS = [(Run(Variant(name, {}), 'grouped', 0, 0, {}, f'{name}/grouped'), PLAN) for name in ('one', 'two', 'three')]
TIME = {'time': '2:00:00'}


@pytest.fixture
def sbatch(tmp_path, monkeypatch):
    """A Slurm that only answers: its jobs are what `tmp_path/queue` says."""
    (tmp_path / 'bin').mkdir()
    for name, answer in (('sbatch', 'echo Submitted batch job 7'), ('srun', ''), ('squeue', f'cat {tmp_path}/queue')):
        (tmp_path / 'bin' / name).write_text(f'#!/bin/sh\n{answer}\n')
        (tmp_path / 'bin' / name).chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}:{os.environ["PATH"]}')
    (tmp_path / 'queue').write_text('')
    return tmp_path


@pytest.mark.parametrize(
    ('time', 'minutes'),
    [('90', 90), ('90:30', 91), ('2:00:00', 120), ('1-12', 2160), ('1-0:30', 1470), ('1-0:00:01', 1441), ('0:10', 1)],
)
def test_time_limits_are_read_as_slurm_writes_them(time, minutes):
    assert cluster.minutes(time) == minutes


@pytest.mark.parametrize('time', ['two hours', '', '1-', '0', '0:00:00', '1:2:3:4'])
def test_other_times_are_refused(time):
    with pytest.raises(UserError, match=r'is .*; (expected minutes|a run needs)'):
        cluster.minutes(time)


def test_all_problems_are_told_before_anything_is_done(monkeypatch):
    monkeypatch.setenv('PATH', '/nowhere')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(UserError) as caught:
        cluster.check(Cluster('slurm', {'array': '1-3', 'Mem': '4G'}))
    said = str(caught.value)
    assert "pip install 'alljax[cluster]'" in said
    assert 'there is no sbatch on this machine' in said
    assert '--slurm.array: is set for each job already' in said
    assert '--slurm.Mem: is no option of sbatch' in said
    assert 'needs --slurm.time' in said


@needs_submitit
def test_runs_are_submitted_once_and_failed_ones_told_with_the_end_of_their_log(sbatch, caplog):
    how, folder, failed = Cluster('slurm', {**TIME, 'mem': '4G', 'cpus-per-task': '3'}), sbatch / 'sweep', {}
    caplog.set_level('INFO')
    jobs.run_all(RUNS, '', folder, failed, how)
    record = json.loads((folder / 'submitit' / 'jobs.json').read_text())
    assert [its['job'] for its in record.values()] == ['7_0', '7_1', '7_2']
    script = (folder / 'submitit' / '7_submission.sh').read_text()
    for line in ('--time=2:00:00', '--mem=4G', '--requeue', '--array=0-2%3', '--open-mode=append'):
        assert f'#SBATCH {line}\n' in script
    assert '--cpus-per-task=3 ' in script.partition('\nsrun ')[2]
    (folder / 'one' / 'grouped').mkdir(parents=True)
    (folder / 'one' / 'grouped' / 'results.json').write_text('{}')
    (sbatch / 'queue').write_text('7_0 COMPLETED\n7_1 PENDING\n7_2 OUT_OF_MEMORY\n')
    (folder / 'submitit' / '7_2_0_log.out').write_text('\n'.join(map(str, range(50))))
    jobs.run_all(RUNS, '', folder, failed, how)
    assert json.loads((folder / 'submitit' / 'jobs.json').read_text()) == record
    assert list(failed) == ['three/grouped']
    assert 'job 7_2 ended before the run did (OUT_OF_MEMORY); give it more memory' in failed['three/grouped']
    assert '3 runs: 1 finished, 1 failed, 0 running, 1 waiting' in caplog.text
    assert '45\n    46\n    47\n    48\n    49\n' in caplog.text
    assert '    44\n' not in caplog.text
    jobs.run_all(RUNS, '', folder, failed, how._replace(resubmit=True))
    after = json.loads((folder / 'submitit' / 'jobs.json').read_text())
    assert {name: its['job'] for name, its in after.items()} == {
        'one/grouped': '7_0', 'two/grouped': '7_1', 'three/grouped': '7'
    }  # fmt: skip


@needs_submitit
def test_a_run_whose_folder_was_deleted_after_it_was_done_is_new(sbatch):
    folder = sbatch / 'sweep'
    jobs.run_all(RUNS, '', folder, {}, Cluster('slurm', TIME))
    (sbatch / 'queue').write_text('7_0 COMPLETED\n7_1 COMPLETED\n7_2 RUNNING\n')
    for number in range(2):
        (folder / 'submitit' / f'7_{number}_0_result.pkl').write_bytes(pickle.dumps(('success', None)))
    (folder / 'two' / 'grouped').mkdir(parents=True)  # its results are on their way
    found = jobs._look(RUNS, folder, jobs.read(folder))
    assert [one.word for one in found.values()] == ['new', 'running', 'running']


@needs_submitit
def test_what_runs_as_a_job_is_not_done_in_this_process(sbatch):
    folder = sbatch / 'sweep'
    jobs.run_all(RUNS, '', folder, {}, Cluster('slurm', TIME))
    (sbatch / 'queue').write_text('7_0 RUNNING\n')
    with pytest.raises(UserError, match=r'one, grouped.* submitted as jobs.*--executor=slurm'):
        jobs.check_none_elsewhere(RUNS, folder)
    (sbatch / 'queue').write_text('7_0 FAILED\n')
    jobs.check_none_elsewhere(RUNS, folder)


@needs_submitit
def test_a_slurm_that_does_not_answer_is_no_failure_of_the_runs(sbatch):
    folder, failed = sbatch / 'sweep', {}
    jobs.run_all(RUNS, '', folder, failed, Cluster('slurm', TIME))
    (sbatch / 'bin' / 'squeue').write_text('#!/bin/sh\necho slurm_load_jobs error: no controller >&2\nexit 1\n')
    with pytest.raises(UserError, match='no controller; the state of the jobs is not known'):
        jobs.run_all(RUNS, '', folder, failed, Cluster('slurm', TIME))
    assert not failed


def test_a_process_is_known_by_its_command_and_not_by_its_number(tmp_path):
    folder = tmp_path / 'sweep'
    assert jobs._process_state(folder, str(os.getpid())) == ''
    place = str((folder / 'submitit').absolute())
    process = subprocess.Popen([sys.executable, '-c', 'input()', place], stdin=subprocess.PIPE)
    assert jobs._process_state(folder, str(process.pid)) == 'RUNNING'
    process.communicate(b'\n')
    assert jobs._process_state(folder, str(process.pid)) == ''


def test_a_damaged_record_is_told_and_not_taken_for_none(tmp_path):
    (tmp_path / 'submitit').mkdir()
    (tmp_path / 'submitit' / 'jobs.json').write_text('{"one/grouped": {"job"')
    with pytest.raises(UserError, match=r'it is not known which runs were submitted; .*squeue --me'):
        jobs.read(tmp_path)


def test_a_folder_on_the_machine_s_own_disk_is_told(tmp_path, caplog, monkeypatch):
    monkeypatch.setenv('SLURM_TMPDIR', str(tmp_path))
    cluster.warn_of_own_disk(tmp_path / 'out')
    assert 'each machine has for itself' in caplog.text


@needs_submitit
def test_a_job_that_failed_keeps_its_reason_and_one_that_is_done_is_not_done_again(tmp_path, monkeypatch):
    submitit = cluster.library()
    paths = submitit.core.utils.JobPaths(tmp_path, '3', 0)
    monkeypatch.setattr(submitit, 'JobEnvironment', lambda: SimpleNamespace(paths=paths))
    monkeypatch.setattr(cluster.execution, 'run_one', lambda *_: 'no cells')
    job = cluster.Job('', PLAN, tmp_path / 'run', {})
    with pytest.raises(SystemExit) as caught:
        job()
    assert caught.value.code == 1
    assert json.loads(cluster.reason_file(paths).read_text()) == {'error': 'no cells'}
    assert job.checkpoint().function == job
    job.place.mkdir()
    (job.place / 'results.json').write_text('{}')
    job()
    assert not cluster.reason_file(paths).exists()
